from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from okta_hooks import EventHook
from okta_hooks.cli import group
from tests.support import PATIENCE, SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    from .conftest import Run

    DeliveryFactory = Callable[..., NewDelivery]


HOST = """
import os
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")

@okta.on("*", name="a")
def receiver(sender, event, **extra):
    print("begun", event.uuid, flush=True)
    os.read(0, 1)
    print("ended", event.uuid, flush=True)

app = Flask("host")
app.config.from_prefixed_env()
app.register_blueprint(okta)
"""


@pytest.fixture
def start_worker(inbox_url: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Return a function that starts ``flask okta-hooks worker`` as a process of its own."""
    (tmp_path / "host.py").write_text(HOST)
    started = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flask", "--app", "host", "okta-hooks", "worker"]
        environment = {"FLASK_OKTA_HOOKS_SECRET": "s", "FLASK_OKTA_HOOKS_INBOX": inbox_url}
        started.append(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env=os.environ | environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_worker_until_a_signal(
    inbox: Inbox,
    delivery: DeliveryFactory,
    start_worker: Callable[[], subprocess.Popen[str]],
    number: signal.Signals,
) -> None:
    """The signal finishes what is in hand, gives the rest back, and ends with status 0."""
    inbox.intake.store([delivery("a", "b", "c")])
    process = start_worker()
    assert process.stderr is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "begun a\n"
    process.send_signal(number)
    lines = iter(process.stderr.readline, "")
    assert any("Finishing what is in hand." in line for line in lines)

    output, _ = process.communicate("\n", timeout=PATIENCE)

    assert (output, process.returncode) == ("ended a\n", 0)
    (lane,) = inbox.overview.receivers()
    assert (lane.done, lane.claimed, lane.pending) == (1, 0, 2)


def test_a_second_signal_does_not_wait(
    inbox: Inbox, delivery: DeliveryFactory, start_worker: Callable[[], subprocess.Popen[str]]
) -> None:
    """Who insists is obeyed at once: the process ends, and gives back what was in hand."""
    inbox.intake.store([delivery("a")])
    process = start_worker()
    assert process.stderr is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "begun a\n"
    process.send_signal(signal.SIGTERM)
    lines = iter(process.stderr.readline, "")
    assert any("Finishing what is in hand." in line for line in lines)
    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 128 + signal.SIGTERM

    (lane,) = inbox.overview.receivers()
    assert (lane.done, lane.claimed, lane.pending) == (0, 0, 1)


@SQLITE
def test_a_second_worker_says_that_it_stands_by(
    inbox: Inbox, delivery: DeliveryFactory, start_worker: Callable[[], subprocess.Popen[str]]
) -> None:
    """One process dispatches an SQLite inbox; whoever starts another sees once why it does nothing."""
    inbox.intake.store([delivery("a")])
    first = start_worker()
    assert first.stdout is not None
    assert first.stdout.readline() == "begun a\n"

    second = start_worker()

    assert second.stderr is not None
    lines = iter(second.stderr.readline, "")
    assert "Another process dispatches: this one stands by.\n" in lines
    second.send_signal(signal.SIGTERM)
    _, rest = second.communicate(timeout=PATIENCE)
    assert "stands by" not in rest
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate("\n", timeout=PATIENCE)
    assert "stands by" not in said


def test_signals_are_handled_as_before_when_it_has_ended(run: Run, okta: EventHook) -> None:
    """A program that calls the command goes on being ended by Ctrl-C."""
    okta.on("*", name="a")(lambda *_, **__: None)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    run("worker", "--drain")

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@SQLITE
def test_a_hook_without_receivers_is_named(
    make_app: Callable[..., Flask], okta: EventHook, inbox_url: str
) -> None:
    """If another hook of the app has receivers, the events of this one would wait without a word."""
    okta.on("*", name="a")(lambda *_, **__: None)
    app = make_app(okta, EventHook("second", url_prefix="/second"), INBOX=inbox_url)

    result = app.test_cli_runner().invoke(group, ["worker", "--drain"])
    app.extensions["okta_hooks"].close()

    assert (
        "No receiver is connected to the hook 'second' in this app: its events stay pending."
        in result.stderr
    )
    assert "'okta'" not in result.stderr


@pytest.mark.parametrize("option", [["--metrics-port", "0"], ["--backfill", "5m"]])
def test_what_does_not_come_to_an_end(run: Run, option: list[str]) -> None:
    """A worker that stops when nothing is due serves and reads nothing beside."""
    result = run("worker", "--drain", *option, status=2)

    assert f"{option[0]} does not" in result.output


def test_metrics_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be installed is said, before anything has begun."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    result = run("worker", "--metrics-port", "0", status=2)

    assert "okta-hooks[prometheus]" in result.output

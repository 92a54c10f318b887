"""Whether looking at an inbox takes longer when much in it is done: commands, screens, a scrape."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest

from okta_hooks import state_of
from okta_hooks.cli import group
from okta_hooks.console.loopback import ADDRESS, Loopback
from okta_hooks.doctor.examination import _Examination
from okta_hooks.inbox.selection import Selection
from okta_hooks.prometheus import InboxCollector

from .figures import turns
from .servers import ROOT
from .stock import HOOKS, RECEIVERS, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from okta_hooks.inbox.overview import StoredEvent

    from .figures import Figures
    from .stock import Stock

    Look = Callable[[], object]

ITEM: Final = "milliseconds to look"
PROCESSOR: Final = "milliseconds of this process' processor to look"
RATIO: Final = "how many times as long a look takes in the large inbox, at worst"
LONGEST: Final = "milliseconds that the longest look takes in the large inbox"
WORST: Final = "the worst of all"
#: How items begin that have no table of their own.
NOT_SHOWN: Final = (PROCESSOR, RATIO, LONGEST)
_FLASK: Final = Path(sys.executable).with_name("flask")
_WHOLE: Final = "the whole process of inbox"
_START: Final = "the whole process of inbox --help"
#: What `events list` says it has an index for.
_LISTS: Final = (
    "",
    "--before {id}",
    "--state dead",
    "--state pending",
    "--state claimed",
    "--state dead --state pending --state claimed",
    "--state dead --type user.lifecycle.* --hook okta",
    "--since 3d",
    "--until 40d",
    "{uuid}",
)
_PORT: Final = 8089
#: The screens of the console; the registration is left out, which asks Okta.
_SCREENS: Final = {
    "overview": "",
    "overview by day": "?by=day",
    "events": "/events",
    "events --state dead": "/events?state=dead",
    "events --type": "/events?type=user.lifecycle.*",
    "events --receiver": "/events?receiver={receiver}",
    "events --since": "/events?since=3d",
    "event": "/events/{id}",
    "dead letters": "/dead-letters",
    "a group": "/dead-letters/group?hook={hook}&receiver={receiver}",
    "receivers": "/receivers",
    "a receiver": "/receivers/one?hook={hook}&name={receiver}",
    "audit": "/audit",
}


def measure(figures: Figures, filled: Sequence[Stock], *, times: int, starts: int) -> None:
    """Look at a small inbox and at a large one, in turn, on each database.

    :param times: How often.
    :param starts: How often as a process of its own.
    """
    for kind in dict.fromkeys(one.kind for one in filled):
        of_kind = [one for one in filled if one.kind == kind]
        looks = {one.events: _looks(one) for one in of_kind}
        for each in looks.values():
            for look in each.values():
                look()
        for name in looks[of_kind[0].events]:
            for one in turns(of_kind, times):
                _note(figures, one, name, looks[one.events][name])
        for one in turns(of_kind, starts):
            for name, arguments in ((_WHOLE, ["inbox"]), (_START, ["inbox", "--help"])):
                _note(figures, one, name, partial(_start, one, arguments))
        _summarize(figures, kind)


def _looks(one: Stock) -> dict[str, Look]:
    """Return what is looked at again and again, and how."""
    place = one.inbox.overview.find(Selection(), limit=1000)[-1]
    values = {"id": place.id, "uuid": place.uuid}
    lists = [f"events list {options.format(**values)}" for options in _LISTS]
    names = [f"events list {options.format(id='ID', uuid='UUID')}" for options in _LISTS]
    looks: dict[str, Look] = {
        name.strip(): partial(_run, one, command.split())
        for name, command in zip(
            ["inbox", "inbox --check", "receivers", *names],
            ["inbox", "inbox --check", "receivers", *lists],
            strict=True,
        )
    }
    registry = CollectorRegistry()
    registry.register(InboxCollector(one.app))
    looks["doctor, what it looks at in the inbox"] = partial(_examine, one)
    looks["a scrape"] = partial(generate_latest, registry)
    return looks | _screens(one, place)


def _screens(one: Stock, place: StoredEvent) -> dict[str, Look]:
    """Return how each screen of the console is opened.

    :param place: The event that is looked at.
    """
    loopback = Loopback(one.app, "benchmark")
    loopback.served_at(_PORT)
    client = loopback.app.test_client()
    base = f"http://{ADDRESS}:{_PORT}"
    root = client.get(loopback.path, base_url=base).location.rstrip("/")
    values = {"id": place.id, "hook": HOOKS[0], "receiver": RECEIVERS[1]}

    def opened(path: str) -> None:
        answer = client.get(root + path.format(**values), base_url=base)
        if answer.status_code != HTTPStatus.OK:
            raise RuntimeError(f"{path} was answered with {answer.status}.")

    return {f"console {name}": partial(opened, path) for name, path in _SCREENS.items()}


def _run(one: Stock, arguments: list[str]) -> None:
    result = one.app.test_cli_runner().invoke(group, arguments)
    # `inbox --check` finds the dead letters.
    if not result.output or result.exit_code not in {0, 1}:
        raise RuntimeError(f"{arguments} has failed: {result.output}") from result.exception


def _examine(one: Stock) -> None:
    with one.app.app_context():
        hook = HOOKS[0]
        examination = _Examination(one.app, state_of(one.app), hook, url=None, name=None)
        found = list(examination.inbox())
    if not {"consistency", "rotation"} <= {check.name for check in found}:
        raise RuntimeError(f"The inbox was not looked at: {found}")


def _start(one: Stock, arguments: list[str]) -> None:
    subprocess.run(
        [_FLASK, "--app=benchmarks.apps:ours()", "okta-hooks", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment(one)},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )


def _note(figures: Figures, one: Stock, name: str, look: Look) -> None:
    began, of_process = time.perf_counter(), time.process_time()
    look()
    of_process = time.process_time() - of_process
    took = time.perf_counter() - began
    contender = f"{name}: {one.events:,} events"
    figures.note(f"{ITEM}, {one.kind}", contender, took * 1000)
    figures.note(f"{PROCESSOR}, {one.kind}", contender, of_process * 1000)


def _summarize(figures: Figures, kind: str) -> None:
    """Add how the worst of all is: that is judged."""
    rows = _rows(figures, f"{ITEM}, {kind}")
    in_process = [after for name, (_, after) in rows.items() if name not in {_WHOLE, _START}]
    figures.add(f"{RATIO}, {kind}", WORST, max(after / before for before, after in rows.values()))
    figures.add(f"{LONGEST}, {kind}", WORST, max(in_process))


def table(figures: Figures, item: str) -> list[str]:
    """Return what was looked at, in Markdown: a line each, with the medians in the small inbox and in the large one."""
    kind = item.rpartition(", ")[2]
    rows, of_process = (_rows(figures, f"{title}, {kind}") for title in (ITEM, PROCESSOR))
    sizes = list(dict.fromkeys(name.rpartition(": ")[2] for name in figures.values[item]))
    lines = [
        f"| {item} | {sizes[0]} | {sizes[-1]} | x | of the processor | |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, (before, after) in rows.items():
        own = " | ".join(f"{each:.3g}" for each in of_process[name])
        lines.append(f"| {name} | {before:.3g} | {after:.3g} | {after / before:.2f} | {own} |")
    return lines


def _rows(figures: Figures, item: str) -> dict[str, list[float]]:
    """Return the medians of each look, in the small inbox and in the large one."""
    rows: dict[str, list[float]] = {}
    for contender in figures.values[item]:
        name = contender.rpartition(": ")[0]
        rows.setdefault(name, []).append(figures.median(item, contender))
    return rows

from __future__ import annotations

import subprocess
import sys

import pytest

from .support import APP, FLAKY, Runner

pytest_plugins = ["pytester"]


def test_a_test_of_a_receiver_is_three_lines(run: Runner) -> None:
    """The fixtures work, and the user brings no more than ``app``."""
    result = run(
        APP,
        """
def test_offboard(okta_org):
    okta_org.emit("user.lifecycle.deactivate", target=["user:ada@example.com"])
    okta_org.settle()
    assert left == ["ada@example.com"]

def test_beside(request):
    plugins = request.config.pluginmanager
    assert plugins.hasplugin("flask") is %r
"""
        % ("flask" not in run.without),
    )

    result.assert_outcomes(passed=2)


def test_the_org_works_in_the_thread_of_the_test(run: Runner) -> None:
    """Receivers see what the test has in its thread, and nothing runs before or after ``settle``."""
    result = run(
        APP,
        """
import threading

def test_thread(okta_org):
    threads = []

    def note(sender, **extra):
        threads.append(threading.current_thread())

    with okta.signal("user.lifecycle.create").connected_to(note):
        okta_org.emit("user.lifecycle.create", count=3)
        assert threads == []
        okta_org.settle()
    assert threads == [threading.main_thread()] * 3
""",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("inbox", "times"), [("sqlite:///a.sqlite3", 1), (None, 2)])
def test_duplicates_and_reordering_come_on_request(
    run: Runner, inbox: str | None, times: int
) -> None:
    """The inbox takes duplicates out; without one, receivers see them. Reordered events come last first."""
    result = run(
        APP.replace("TESTING=True", f"OKTA_HOOKS_INBOX={inbox!r}"),
        f"""
def test_duplicate(okta_org):
    okta_org.emit("user.lifecycle.deactivate", target="user:ada", faults=["duplicate"])
    okta_org.settle()
    assert [delivery["state"] for delivery in okta_org.deliveries()] == ["delivered"] * 2
    assert left == ["ada"] * {times}

def test_reordered(okta_org, okta_receivers):
    events = okta_org.emit("user.lifecycle.deactivate", count=3, faults=["reorder"])
    okta_org.settle()
    uuids = [run.event.uuid for run in okta_receivers.done]
    assert uuids == [event["uuid"] for event in reversed(events)]
""",
    )

    result.assert_outcomes(passed=2)


def test_retries_are_not_waited_for(run: Runner) -> None:
    """A receiver that fails is tried again as in production, at once: minutes of back-off take no time."""
    result = run(
        APP,
        FLAKY,
        """
import time

def test_flaky(okta_org, okta_receivers):
    started = time.monotonic()
    okta_org.emit("user.session.start")
    okta_org.settle()
    assert time.monotonic() - started < 5
    assert attempts == [1, 2, 3]
    assert [run.attempt for run in okta_receivers.failed] == [1, 2]
    assert [run.attempt for run in okta_receivers.done] == [3]
    assert [run.attempt for run in okta_receivers.runs] == [1, 2, 3]
    assert okta_receivers.dead == []

def test_broken(okta_org, okta_receivers):
    (sent,) = okta_org.emit("user.session.end")
    okta_org.settle()
    assert [run.attempt for run in okta_receivers.failed] == list(range(1, 21))
    assert {str(run.error) for run in okta_receivers.runs} == {"never"}
    (dead,) = okta_receivers.dead
    assert (dead.receiver, dead.event.uuid) == ("broken", sent["uuid"])
    assert "never" in dead.reason
    assert okta_receivers.done == []
""",
    )

    result.assert_outcomes(passed=2)


def test_no_time_passes_while_the_org_settles(run: Runner) -> None:
    """Retries come after what was due at once, on a machine that stalls as well."""
    result = run(
        APP,
        """
import itertools
import time

@pytest.mark.parametrize("stall", [0, 60])
def test_stall(okta_org, okta_receivers, monkeypatch, stall):
    moments = itertools.count(time.time(), stall)
    monkeypatch.setattr(time, "time", lambda: next(moments))

    def fail_first(sender, attempt, **extra):
        if attempt == 1:
            raise LookupError

    def follow(sender, **extra):
        okta_org.emit("user.lifecycle.activate")

    with (
        okta.signal("user.lifecycle.create").connected_to(fail_first),
        okta.signal("user.lifecycle.create").connected_to(follow),
        okta.signal("user.lifecycle.activate").connected_to(lambda sender, **extra: None),
    ):
        okta_org.emit("user.lifecycle.create", count=2)
        okta_org.settle()
    types = [(run.event.event_type.split(".")[-1], run.attempt) for run in okta_receivers.runs]
    assert types == [("create", 1)] * 4 + [("activate", 1)] * 2 + [("create", 2)] * 2
    assert [len(each["events"]) for each in okta_org.deliveries()] == [2, 2]
""",
    )

    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("inbox", ["sqlite:///a.sqlite3", None])
def test_a_type_that_the_catalogue_does_not_know_is_delivered(
    run: Runner, inbox: str | None
) -> None:
    """Okta adds types in most releases: one is delivered once to each hook of the app, with a warning."""
    result = run(
        APP.replace("TESTING=True", f"OKTA_HOOKS_INBOX={inbox!r}"),
        """
from okta_hooks import UnknownEventTypeWarning

def test_new(okta_org, okta_receivers):
    with okta.signal("user.*").connected_to(lambda sender, **extra: None):
        for _ in range(2):
            with pytest.warns(UnknownEventTypeWarning) as warned:
                okta_org.emit("user.brand.new")
            assert warned[0].filename == __file__
            okta_org.settle()
    assert [run.event.event_type for run in okta_receivers.done] == ["user.brand.new"] * 2
    types = [hook["events"]["items"] for hook in okta_org.hooks()]
    assert [listed.count("user.brand.new") for listed in types] == [0, 1]
""",
    )

    result.assert_outcomes(passed=1)


def test_a_type_that_okta_does_not_deliver_is_an_error(run: Runner) -> None:
    """A test that waits for it would wait for ever, unless it asks for the System Log alone."""
    result = run(
        APP,
        """
def test_ineligible(okta_org):
    before = len(okta_org.log().events)
    with pytest.raises(ValueError, match="Okta does not deliver 'event_hook.delivery'"):
        okta_org.emit("event_hook.delivery")
    assert len(okta_org.log().events) == before
    okta_org.emit("event_hook.delivery", faults=["log_only"])
    assert len(okta_org.log().events) == before + 1
""",
    )

    result.assert_outcomes(passed=1)


def test_a_delivery_that_fails_is_shown(run: Runner) -> None:
    """Of a test that fails, pytest shows why nothing has come, without being asked for logs."""
    result = run(
        APP.replace(
            "    return app",
            """
    @app.before_request
    def log_in():
        if request.method == "POST":
            return "", 302
    return app
""",
        ).replace("import Flask", "import Flask, request"),
        """
def test_wall(okta_org):
    okta_org.emit("user.lifecycle.deactivate")
    okta_org.settle()
    assert left
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["WARNING *: The endpoint answered 302."])


def test_what_receivers_set_off_is_settled_too(run: Runner) -> None:
    """A receiver may let more happen in the org: ``settle`` comes back when that is at its end as well."""
    result = run(
        APP,
        """
def test_more(okta_org):
    def follow(sender, **extra):
        okta_org.emit("user.lifecycle.deactivate", target="user:ada")

    with okta.signal("user.lifecycle.suspend").connected_to(follow):
        okta_org.emit("user.lifecycle.suspend")
        okta_org.settle()
    assert left == ["ada"]
""",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("place", [0, 1])
def test_a_receiver_that_is_gone_is_not_waited_for(run: Runner, place: int) -> None:
    """``settle`` leaves the attempts of a receiver that is not connected any more, and makes those of the others."""
    result = run(
        APP,
        f"""
def test_gone(okta_org):
    signal = okta.signal("user.lifecycle.suspend")
    attempts = []

    def leave(sender, **extra):
        attempts.append("left")
        signal.disconnect(leave)
        raise LookupError

    def stay(sender, attempt, **extra):
        attempts.append(attempt)
        if attempt < 3:
            raise LookupError

    receivers = [stay]
    receivers.insert({place}, leave)
    for receiver in receivers:
        signal.connect(receiver)
    okta_org.emit("user.lifecycle.suspend")
    okta_org.settle()
    assert attempts == ["left", 1, 2, 3] if {place} == 0 else [1, "left", 2, 3]
""",
    )

    result.assert_outcomes(passed=1)


def test_settling_from_within_is_an_error(run: Runner) -> None:
    """A receiver that calls ``settle`` fails with the reason, and no event comes to it more often than that."""
    result = run(
        APP,
        """
@pytest.mark.parametrize("is_async", [False, True])
def test_within(okta_org, okta_receivers, is_async):
    def settle(sender, **extra):
        okta_org.settle()

    async def settle_later(sender, **extra):
        okta_org.settle()

    with okta.signal("user.lifecycle.suspend").connected_to(settle_later if is_async else settle):
        okta_org.emit("user.lifecycle.suspend", count=2)
        okta_org.settle()
    assert len(okta_receivers.runs) == 2 * 20
    assert {type(run.error) for run in okta_receivers.runs} == {RuntimeError}
    assert all("cannot settle the org" in dead.reason for dead in okta_receivers.dead)
    assert len(okta_receivers.dead) == 2
""",
    )

    result.assert_outcomes(passed=2)


def test_threads_may_settle_at_once(run: Runner) -> None:
    """Each comes back when everything is at its end, and no receiver runs more often for it."""
    result = run(
        APP,
        """
from concurrent.futures import ThreadPoolExecutor

def test_threads(okta_org, okta_receivers):
    okta_org.emit("user.lifecycle.deactivate", target="user:ada", count=100)

    def settle(number):
        okta_org.settle()
        return len(left)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(settle, range(4))) == [100] * 4
    assert len(okta_receivers.runs) == 100
""",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("inbox", ["sqlite:///a.sqlite3", None])
def test_a_test_may_be_asynchronous(run: Runner, inbox: str | None) -> None:
    """In a thread beside its event loop, ``settle`` runs receivers of either kind."""
    result = run(
        APP.replace("TESTING=True", f"TESTING=True, OKTA_HOOKS_INBOX={inbox!r}"),
        """
import asyncio

def test_async(okta_org, okta_receivers):
    async def follow(sender, **extra):
        await asyncio.sleep(0)

    async def test():
        okta_org.emit("user.lifecycle.deactivate", target="user:ada")
        await asyncio.to_thread(okta_org.settle)

    with okta.signal("user.lifecycle.deactivate").connected_to(follow):
        asyncio.run(test())
    assert left == ["ada"]
    assert len(okta_receivers.runs) == len(okta_receivers.done) == 2
""",
    )

    result.assert_outcomes(passed=1)


def test_retries_come_in_one_order(run: Runner) -> None:
    """When receivers that failed together are tried again does not depend on chance."""
    result = run(
        APP,
        """
import random

for name in "abc":
    @okta.on("user.lifecycle.suspend", name=name)
    def fail_twice(sender, attempt, **extra):
        if attempt < 3:
            raise LookupError

@pytest.mark.parametrize("seed", range(3))
def test_order(okta_org, okta_receivers, seed):
    random.seed(seed)
    okta_org.emit("user.lifecycle.suspend")
    okta_org.settle()
    runs = [f"{run.receiver}{run.attempt}" for run in okta_receivers.runs]
    assert runs == ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]
""",
    )

    result.assert_outcomes(passed=3)


def test_ids_are_the_same_in_every_run(run: Runner) -> None:
    """Events made by any of the fixtures have the uuids they had in the last run, and no two are equal."""
    source = """
def test_ids(okta_event, okta_delivery, okta_org, request):
    events = [okta_event("user.lifecycle.create") for _ in range(3)]
    events += okta_org.emit("user.lifecycle.create", count=3)
    uuids = [event["uuid"] for event in events] + [okta_delivery(events)["eventId"]]
    assert len(set(uuids)) == len(uuids)
    print("uuids:", *uuids)
"""
    results = [run(APP, source, options=("-s",)) for _ in range(2)]

    first, second = ([line for line in result.outlines if "uuids:" in line] for result in results)
    assert len(first) == 1
    assert first == second


def test_nothing_but_flask_is_imported_unless_a_fixture_is_used(pytester: pytest.Pytester) -> None:
    """Every test session of a virtual environment loads the plugin: it must not cost them a simulator."""
    pytester.makepyfile(
        """
import sys

def test_modules():
    heavy = ["okta_hooks.simulator", "okta_hooks.testing", "okta_hooks.catalog", "sqlalchemy", "marshmallow"]
    assert "okta_hooks.pytest_plugin" in sys.modules
    assert [name for name in heavy if name in sys.modules] == []
"""
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"],
        cwd=pytester.path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert "1 passed" in ended.stdout, ended.stdout

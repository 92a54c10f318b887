"""The completeness report over Okta's SDK and real HTTP, against a simulated org."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.exceptions import OktaRefused
from okta_hooks.org.client import OktaClient
from okta_hooks.org.reconcile import Report, reconcile
from okta_hooks.simulator import Answer, Request, Simulator
from okta_hooks.simulator import Org as SimulatedOrg
from tests.support import CREATED, NEEDS_SDK, SQLITE, clock_of_today

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

pytestmark = NEEDS_SDK

TOKEN = "00a-token"
URL = "https://app.example.com/okta/events"


def answer(request: Request) -> Answer:
    """Answer the challenge, and refuse every delivery."""
    challenge = request.headers.get("X-Okta-Verification-Challenge")
    if challenge is None:
        return Answer(status=401, body=b"")
    return Answer(status=200, body=json.dumps({"verification": challenge}).encode())


clock = clock_of_today


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, which is verified."""
    org = SimulatedOrg(token=TOKEN, seed=1, send=answer)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED], name="Staff")
        yield simulator


@pytest.fixture
def connect(make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app with a hook over the database of this test."""
    made = []

    def make(url: str, *names: str) -> Flask:
        hooks = [EventHook(name, url_prefix=f"/{name}/events") for name in names]
        app = make_app(*hooks, INBOX=inbox_url, ORG_URL=url, API_TOKEN=TOKEN, URL=URL)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["okta_hooks"].close()


@pytest.fixture
def run(connect: Callable[..., Flask], simulator: Simulator) -> Callable[..., Result]:
    """Return a function that runs the command in an app with one hook."""
    app = connect(simulator.url, "okta")

    def run(*arguments: str, status: int = 0) -> Result:
        result = app.test_cli_runner().invoke(group, ["reconcile", *arguments])
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


def report_of(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def emit(simulator: Simulator, count: int = 1, *, age: float = 300, **options: Any) -> list[Any]:
    published = datetime.now(UTC) - timedelta(seconds=age)
    return simulator.org.emit(CREATED, count=count, faults=["lost"], published=published, **options)


def test_what_became_of_what_was_meant(
    simulator: Simulator,
    inbox: Inbox,
    delivery: DeliveryFactory,
    run: Callable[..., Result],
    clock: Clock,
) -> None:
    """What came is counted by how it came and how late; what did not is named, unless it may yet come."""
    came = emit(simulator, 100)
    for number, event in enumerate(came):
        clock.now = datetime.fromisoformat(event["published"]).timestamp() + number + 1
        inbox.intake.store([delivery(event)])
    clock.now = time.time()
    (missing,) = emit(simulator)
    emit(simulator, age=5)
    simulator.org.emit(CREATED, faults=["log_only"])
    simulator.org.emit("group.lifecycle.create")

    report = report_of(run("--json", status=1))

    assert report["missing"] == [missing["uuid"]]
    assert (report["meant"], report["by_hook"], report["by_backfill"]) == (102, 100, 0)
    assert report["under_way"] == 1
    late = {key: round(value) for key, value in report["late_seconds"].items()}
    assert late == {"p50": 50, "p99": 99, "max": 100}
    text = run(status=1).output
    assert f"missing: {missing['uuid']}\n" in text
    assert "after they were published" in text
    assert "flask okta-hooks backfill --since" in text


def test_what_came_by_the_log(
    simulator: Simulator, inbox: Inbox, delivery: DeliveryFactory, run: Callable[..., Result]
) -> None:
    """What a backfill has brought is there; how late does not count."""
    (event,) = emit(simulator)
    new = delivery(event)
    inbox.intake.store(
        [type(new)(hook="okta", delivery=via_backfill(new), body=new.body, events=new.events)]
    )

    report = report_of(run("--json"))

    assert (report["by_hook"], report["by_backfill"], report["missing"]) == (0, 1, [])
    assert report["late_seconds"] == {"p50": None, "p99": None, "max": None}
    assert "after they were published" not in run().output


def via_backfill(new: NewDelivery) -> Any:
    return type(new.delivery)(
        event_id=None, source=None, via="backfill", received_at=new.delivery.received_at
    )


@SQLITE
def test_failed_deliveries(simulator: Simulator, run: Callable[..., Result]) -> None:
    """What Okta has recorded of them is listed: when, which, and why."""
    simulator.org.emit(CREATED, count=3)
    simulator.org.settle()
    (failed,) = simulator.org.deliveries()
    target = {"id": failed["hookId"], "type": "EventHook"}
    other = {**target, "id": "whoElse"}
    simulator.org.emit("event_hook.delivery", target=target, outcome={"result": "SUCCESS"})
    simulator.org.emit("event_hook.delivery", target=other, outcome={"result": "FAILURE"})

    report = report_of(run("--json"))
    assert report["failed_deliveries"] == 1
    (failure,) = report["failures"]
    assert (failure["event_id"], failure["reason"]) == (
        failed["eventId"],
        "The endpoint answered 401",
    )
    assert failure["published"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert f"{failed['eventId']} The endpoint answered 401" in run().output


@SQLITE
def test_what_okta_gives_as_the_reason_moves_no_cursor(
    simulator: Simulator, run: Callable[..., Result]
) -> None:
    """It is printed on one line, and what does not show is escaped."""
    simulator.org.emit(CREATED)
    simulator.org.settle()
    (failed,) = simulator.org.deliveries()
    target = {"id": failed["hookId"], "type": "EventHook"}
    reason = "of\x1b[2J\nmissing: none"
    outcome = {"result": "FAILURE", "reason": reason}
    simulator.org.emit("event_hook.delivery", target=target, outcome=outcome)

    printed = run().stdout

    assert r"of\x1b[2J\x0amissing: none" in printed
    assert "\x1b" not in printed


@SQLITE
def test_many_are_missing(simulator: Simulator, run: Callable[..., Result]) -> None:
    """For people the list ends after twenty; for programs it does not."""
    emit(simulator, 1100)

    text = run(status=1).output
    assert text.count("missing: ") == 20
    assert "and 1080 more" in text
    assert len(report_of(run("--json", status=1))["missing"]) == 1100


@SQLITE
def test_a_window(simulator: Simulator, run: Callable[..., Result]) -> None:
    """Only what was published in it counts; the log is read no further than it must be."""
    (before,) = emit(simulator, age=7200)
    (within,) = emit(simulator, age=3000)
    emit(simulator, 1, age=1200)
    emit(simulator, 2100, age=-4000)

    report = report_of(run("--since=1h", "--until=30m", "--json", status=1))
    assert report["missing"] == [within["uuid"]]
    whole = report_of(run("--since=3h", "--until=1h", "--json", status=1))
    assert whole["missing"] == [before["uuid"]]
    assert whole["events"] < 2105
    assert "is later than now" in run("--since=2999-01-01", status=2).output
    assert "must be later" in run("--since=1h", "--until=2h", status=2).output


@SQLITE
def test_an_event_that_nothing_tells_from_others(
    simulator: Simulator, run: Callable[..., Result]
) -> None:
    """Without a uuid it cannot be looked up: it is not missing, and nothing proves that it has arrived."""
    emit(simulator, uuid="")

    report = report_of(run("--json", status=1))
    assert (report["meant"], report["unidentified"], report["missing"]) == (1, 1, [])
    output = run(status=1).output
    assert "without a usable uuid" in output
    assert (
        "1 event has no uuid that tells it from others: whether it has arrived cannot be looked up"
        in output
    )


@SQLITE
def test_what_comes_very_late_into_a_window(
    simulator: Simulator, run: Callable[..., Result]
) -> None:
    """A page from an hour behind the window does not end the reading if the log has an event that was not read."""
    emit(simulator, age=9000)
    emit(simulator, 2100, age=1200)
    (late,) = emit(simulator, age=8000)

    report = report_of(run("--since=3h", "--until=2h", "--json", status=1))

    assert late["uuid"] in report["missing"]
    assert len(report["missing"]) == 2


@SQLITE
@pytest.mark.parametrize("status", [503, 429])
def test_trouble_at_okta_is_waited_for(
    simulator: Simulator, connect: Callable[..., Flask], status: int
) -> None:
    """A refusal that may pass does not end it; one that stays does, after a few waits."""
    app = connect(simulator.url, "okta")
    state = app.extensions["okta_hooks"]
    (hook,) = simulator.org.hooks()
    emit(simulator, 1)
    waited: list[float] = []
    told: list[str] = []

    def look(org: OktaClient) -> Report:
        inbox, ids = state.runtime().inbox, [hook["id"]]
        since = time.time() - 3600
        return reconcile(org, inbox, "okta", ids, since=since, tell=told.append, wait=waited.append)

    with OktaClient(state.settings, wait=lambda _: None) as org:
        simulator.org.api_faults.add(6 if status == 429 else 2, path="/api/v1/logs", status=status)
        assert len(look(org).missing) == 1
        assert waited == ([2] if status == 429 else [2, 4])
        assert told[0].endswith("Trying again in 2 s.")
        waited.clear()
        simulator.org.api_faults.add(100, path="/api/v1/logs", status=503)
        with pytest.raises(OktaRefused, match="503"):
            look(org)
        assert waited == [2, 4, 8, 16, 32]


@SQLITE
def test_more_than_okta_keeps(run: Callable[..., Result]) -> None:
    """What Okta has forgotten cannot be proved, and that is said."""
    result = run("--since=100d", "--json", status=1)

    assert "Okta keeps its log for 90 days" in result.stderr
    assert report_of(result)["gap"][0] < report_of(result)["since"] or report_of(result)["gap"]


@SQLITE
def test_which_hook_at_okta(simulator: Simulator, run: Callable[..., Result]) -> None:
    """By its name or its URL another is meant; if several have the name, they are listed."""
    simulator.org.register("https://test.example.com/okta/events", [CREATED], name="Test")
    simulator.org.register("https://other.example.com/okta/events", [CREATED], name="Test")

    output = run("--name=Test 1", status=1).output
    assert "Several hooks at" in output
    assert "https://test.example.com/okta/events" in output
    assert run("--name=Staff 1").exit_code == 0
    assert run(f"--url={URL}/").exit_code == 0
    output = run("--name=Nobody", status=1).output
    assert f"No hook at {simulator.url} is named 'Nobody'. There are: 'Staff 1' (who" in output
    assert "'Test 1' (who" in output
    output = run(f"--url={URL[:-1]}?key=hush", status=1).output
    assert f"No hook at {simulator.url} has the URL {URL[:-1]}. There are: 'Staff 1' (who" in output
    assert "hush" not in output
    assert "Say which" not in output


@SQLITE
def test_what_was_not_meant_for_the_hook(
    simulator: Simulator,
    inbox: Inbox,
    delivery: DeliveryFactory,
    make_app: Callable[..., Flask],
    inbox_url: str,
) -> None:
    """What happened while the hook was inactive is not missing, but told if a backfill would bring it."""
    okta = EventHook("okta")
    okta.on(CREATED)(lambda *_, **__: None)
    app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN=TOKEN, URL=URL)
    (hook,) = simulator.org.hooks()
    simulator.org.deactivate_hook(hook["id"])
    came, _ = emit(simulator, 2)
    inbox.intake.store([delivery(came)])
    simulator.org.emit("user.session.start")
    runner = app.test_cli_runner()

    text = runner.invoke(group, ["reconcile"])
    document = report_of(runner.invoke(group, ["reconcile", "--json"]))

    assert text.exit_code == 0
    assert "1 event for receivers of here was not meant for the hook" in text.stderr
    assert "To bring it: flask okta-hooks backfill --since " in text.stderr
    assert (document["not_meant"], document["meant"], document["missing"]) == (1, 0, [])
    brought = runner.invoke(group, ["backfill", "--since=24h", "--json"])
    assert json.loads(brought.stdout)["new"] == 1
    assert report_of(runner.invoke(group, ["reconcile", "--json"]))["not_meant"] == 0
    app.extensions["okta_hooks"].close()


@SQLITE
def test_hooks_that_may_not_be_read(
    inbox: Inbox, delivery: DeliveryFactory, run: Callable[..., Result], simulator: Simulator
) -> None:
    """What has been delivered tells which it is; if nothing has, or another is named, the permission is wanting."""

    def refused() -> Any:
        raise OktaRefused(403, "E0000006", "You do not have permission.")

    lacking = "The token needs okta.eventHooks.read."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OktaClient, "hooks", lambda _: refused())
        for options in ([], ["--name=Staff 1"], [f"--url={URL}"]):
            output = run(*options, status=1).output
            assert lacking in output
            assert "by --name or --url" not in output
        inbox.intake.store([delivery("a", source=f"{simulator.url}/api/v1/eventHooks/who1")])
        assert report_of(run("--json"))["hook_ids"] == ["who1"]
        assert lacking in run("--name=Staff 1", status=1).output


@SQLITE
def test_an_org_without_hooks(simulator: Simulator, run: Callable[..., Result]) -> None:
    """Nobody is asked to choose among none: what registers one is named."""
    (hook,) = simulator.org.hooks()
    simulator.org.deactivate_hook(hook["id"])
    simulator.org.delete_hook(hook["id"])

    output = run("--name=Staff 1", status=1).output
    assert "The org has no event hook: flask okta-hooks apply --url https://" in output
    assert "by --name or --url" not in output


@SQLITE
def test_which_hook_of_the_app(simulator: Simulator, connect: Callable[..., Flask]) -> None:
    """An app with several says which."""
    app = connect(simulator.url, "staff", "okta")
    runner = app.test_cli_runner()

    assert "Say which --hook" in runner.invoke(group, ["reconcile"]).output
    assert runner.invoke(group, ["reconcile", "--hook=okta"]).exit_code == 0


@SQLITE
def test_memory_is_bounded_by_what_is_wrong(
    simulator: Simulator, connect: Callable[..., Flask]
) -> None:
    """Of failures only so many are kept, though all are counted."""
    app = connect(simulator.url, "okta")
    state = app.extensions["okta_hooks"]
    (hook,) = simulator.org.hooks()
    simulator.org.emit(
        "event_hook.delivery",
        count=1100,
        target={"id": hook["id"], "type": "EventHook"},
        outcome={"result": "FAILURE"},
    )

    with OktaClient(state.settings) as org:
        report = reconcile(
            org, state.runtime().inbox, "okta", [hook["id"]], since=time.time() - 3600
        )
    assert (report.failed, len(report.failures)) == (1100, 1000)


def test_lateness_of_few() -> None:
    """Half of one is that one."""
    report = Report()
    assert report.late(0.5) is None
    report.lateness.append(3.0)
    assert [report.late(share) for share in (0, 0.5, 0.99, 1)] == [3.0] * 4

"""The backfill over Okta's SDK and real HTTP, against a simulated org and logs that are odd."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.cli.output import Progress
from okta_hooks.exceptions import OktaRefused, OktaUnavailable
from okta_hooks.inbox.claims import Cursor, Inbox, Selection
from okta_hooks.org.backfill import Backfill, Stopped, interruptible, keep_up
from okta_hooks.org.client import Org
from okta_hooks.signals import delivery_stored, event_dead
from okta_hooks.simulator import Answer, Request, Simulator
from okta_hooks.simulator import Org as SimulatedOrg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from flask import Flask

    Run = Callable[..., Result]

TOKEN = "00a-token"
CREATED = "user.lifecycle.create"
DAY = timedelta(days=1)
SQLITE = pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
FORBIDDEN = b'{"errorCode": "E0000006", "errorSummary": "You do not have permission."}'


def answer_challenge(request: Request) -> Answer:
    challenge = request.headers["X-Okta-Verification-Challenge"]
    return Answer(status=200, body=json.dumps({"verification": challenge}).encode())


class Impatient(threading.Event):
    """An event for whose waiting nobody waits; ``waited`` has the seconds. After so many it is set."""

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.most = most
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note how long, and return at once."""
        self.waited.append(timeout)
        if len(self.waited) >= self.most:
            self.set()
        return self.is_set()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration of the SDK in."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "OKTA_CLIENT_ORGURL", "OKTA_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, which is verified; it delivers nothing of what is lost."""
    org = SimulatedOrg(token=TOKEN, seed=1, send=answer_challenge)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register("https://app.example.com/okta/events", [CREATED, "group.lifecycle.create"])
        yield simulator


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with a receiver for what happens to users."""
    okta.on("user.*", name="users")(lambda *_, **__: None)
    return okta


@pytest.fixture
def connect(make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app over the database of this test, for the org at an URL."""
    made = []

    def make(url: str | None, *hooks: EventHook, **config: Any) -> Flask:
        app = make_app(*hooks, INBOX=inbox_url, ORG_URL=url, API_TOKEN=TOKEN, **config)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["okta_hooks"].close()


@pytest.fixture
def app(connect: Callable[..., Flask], simulator: Simulator, okta: EventHook) -> Flask:
    """Return an app that is connected to the simulated org."""
    return connect(simulator.url, okta)


def run(app: Flask, *arguments: str, status: int = 0) -> Result:
    result = app.test_cli_runner().invoke(group, arguments)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def read(app: Flask, *arguments: str) -> dict[str, Any]:
    result = run(app, "backfill", *arguments, "--json")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def inbox_of(app: Flask) -> Inbox:
    inbox: Inbox = app.extensions["okta_hooks"].runtime().inbox
    return inbox


def reading(app: Flask, org: Org, stopping: threading.Event, **options: Any) -> Backfill:
    return Backfill(app.extensions["okta_hooks"], org, stopping, **options)


def open_org(app: Flask, stopping: threading.Event) -> Org:
    return Org(app.extensions["okta_hooks"].settings, wait=interruptible(stopping))


def types(app: Flask) -> list[tuple[str, str]]:
    """Return the hooks and types of the events in the inbox, sorted."""
    found = inbox_of(app).find(Selection(), limit=1000)
    return sorted((event["hook"], event["type"]) for event in found)


class Log:
    """An org whose log has given pages, and answers to some requests with something else."""

    def __init__(self, pages: list[str]) -> None:
        self.pages = pages
        self.hooks: tuple[int, bytes] = (200, b"[]")
        self.refused: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        log = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, link = log.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if link:
                    self.send_header("Link", f'<{log.url}{link}>; rel="next"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def answer(self, path: str) -> tuple[int, bytes, str | None]:
        """Return the status and the body of an answer, and where its log goes on."""
        if path.startswith("/api/v1/eventHooks"):
            return *self.hooks, None
        self.asked.append(path)
        if self.refused:
            return *self.refused.pop(0), None
        number = int(parse_qs(urlsplit(path).query).get("after", ["0"])[0])
        if number >= len(self.pages):
            return 200, b"[]", f"/api/v1/logs?after={len(self.pages)}"
        return 200, self.pages[number].encode(), f"/api/v1/logs?after={number + 1}"


@pytest.fixture
def serve() -> Iterator[Callable[..., Log]]:
    """Return a function that runs an org with a given log."""
    logs = []

    def start(*pages: str) -> Log:
        logs.append(Log(list(pages)))
        return logs[-1]

    yield start
    for log in logs:
        log.server.shutdown()
        log.server.server_close()


def page(*uuids: str, published: str = "2026-05-04T03:02:01.000Z") -> str:
    return json.dumps(
        [{"uuid": uuid, "eventType": CREATED, "published": published} for uuid in uuids]
    )


def test_what_did_not_arrive(simulator: Simulator, app: Flask, okta: EventHook) -> None:
    """It reaches the receivers, which are told how it came."""
    got = []

    @okta.on(CREATED, name="also")
    def receiver(sender: Flask, event: Any, delivery: Any, **extra: Any) -> None:
        got.append((event.uuid, event.raw["insertionTimestamp"] is not None, delivery))

    (lost,) = simulator.org.emit(CREATED, faults=["lost"])
    stored: list[dict[str, Any]] = []

    def note(sender: Flask, **arguments: Any) -> None:
        stored.append(arguments)

    with delivery_stored.connected_to(note):
        document = read(app, "--since=24h")
    app.extensions["okta_hooks"].runtime().worker.drain()

    assert document["hooks"] == {"okta": {"new": 1, "duplicate": 0, "dead": 0}}
    ((uuid, is_logged, delivery),) = got
    assert (uuid, is_logged) == (lost["uuid"], True)
    assert (delivery.via, delivery.source, delivery.event_id) == ("backfill", simulator.url, None)
    assert [(each["hook"], each["new"], each["duplicate"]) for each in stored] == [(okta, 1, 0)]


def test_each_hook_gets_its_own(simulator: Simulator, connect: Callable[..., Flask]) -> None:
    """An event goes to the hook that Okta meant it for, and to those whose receivers want it."""
    staff, groups = EventHook("staff"), EventHook("groups", url_prefix="/okta/groups")
    staff.on("user.*")(lambda *_, **__: None)
    groups.on("group.*")(lambda *_, **__: None)
    app = connect(simulator.url, staff, groups)
    simulator.org.register("https://app.example.com/okta/groups", ["group.profile.update"])
    for event_type in (CREATED, "group.profile.update", "group.lifecycle.create"):
        simulator.org.emit(event_type, faults=["lost"])
    simulator.org.emit("user.lifecycle.suspend", faults=["log_only"])
    simulator.org.emit("user.authentication.auth")  # is never delivered to a hook

    read(app, "--since=1h")

    assert types(app) == [
        ("groups", "group.lifecycle.create"),
        ("groups", "group.profile.update"),
        ("staff", "group.lifecycle.create"),  # its registration has it
        ("staff", CREATED),
        ("staff", "user.lifecycle.suspend"),
    ]


def test_it_goes_on_where_it_stopped(simulator: Simulator, app: Flask) -> None:
    """The second time only what is new is read; what is read again is not stored again."""
    simulator.org.emit(CREATED, count=1500, faults=["lost"])

    first = read(app, "--since=1h")
    assert (first["new"], first["pages"], first["is_at_end"]) == (1500, 3, True)
    simulator.org.emit(CREATED, count=2, faults=["lost"])
    second = read(app)
    assert (second["events"], second["new"]) == (2, 2)
    again = read(app, "--since=1h")
    assert (again["new"], again["duplicate"]) == (0, 1502)
    simulator.org.emit(CREATED, faults=["lost"])
    assert read(app)["events"] == 1


def test_what_lies_between_is_not_left_out(simulator: Simulator, app: Flask) -> None:
    """Told to begin later than where it stopped, it goes on from where it stopped."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - 3 * DAY
    simulator.org.emit(CREATED, faults=["lost"])
    stopping = threading.Event()
    with open_org(app, stopping) as org:
        url = org.log_url(since=began - 5 * DAY)
    stopped = Cursor(next_url=url, reached_at=(began - 5 * DAY).timestamp())
    assert inbox_of(app).backfill([], simulator.url, before=None, after=stopped) == []
    simulator.org.clock = lambda: began
    simulator.org.emit(CREATED, faults=["lost"])

    document = read(app, "--since=1d")

    assert document["new"] == 2
    assert document["since"][:10] == f"{began - 5 * DAY:%Y-%m-%d}"


def test_it_goes_back(simulator: Simulator, app: Flask) -> None:
    """Told to begin earlier than where it stopped, it does, and goes on from there wherever it is killed."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, count=2500, faults=["lost"])
    simulator.org.clock = lambda: began
    assert read(app, "--since=1m")["new"] == 0

    for pages, there in enumerate([0, 998, 1998]):  # the log begins with the hook itself
        stopping = threading.Event()
        with open_org(app, stopping) as org:
            reader = reading(app, org, stopping, progress=lambda _: stopping.set())  # noqa: B023
            reader.begin(None if pages else time.time() - DAY.total_seconds())
            if pages:
                reader.catch_up()  # one page, and then it is gone
        assert inbox_of(app).counts()["pending"] == there

    assert read(app)["new"] == 502


def test_one_goes_back_while_another_is_at_the_end(simulator: Simulator, app: Flask) -> None:
    """The one at the end goes back as well, and nothing is passed over."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, count=1500, faults=["lost"])
    simulator.org.clock = lambda: began
    read(app, "--since=1m")
    with open_org(app, threading.Event()) as org, open_org(app, threading.Event()) as other_org:
        stopping = threading.Event()
        at_end = reading(app, org, threading.Event())
        back = reading(app, other_org, stopping, progress=lambda _: stopping.set())
        at_end.begin()
        back.begin(time.time() - DAY.total_seconds())
        assert not back.catch_up()  # one page
        assert at_end.catch_up()
        assert at_end.tally.new == {"okta": 502}
        stopping.clear()
        back.catch_up()
    assert inbox_of(app).counts()["pending"] == 1500


@SQLITE
def test_a_beginning_that_somebody_else_moves(
    simulator: Simulator, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to begin earlier than another that has just begun goes back all the same."""
    inbox = inbox_of(app)
    asked = []

    def overtaken(org: str) -> Cursor | None:
        found = Inbox.cursor(inbox, org)
        asked.append(found)
        if len(asked) == 1:
            with open_org(app, threading.Event()) as other:
                url = other.log_url(since=datetime.now(UTC))
            inbox.backfill([], org, before=None, after=Cursor(next_url=url, reached_at=time.time()))
        return found

    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, faults=["lost"])
    simulator.org.clock = lambda: began
    with open_org(app, threading.Event()) as org:
        reader = reading(app, org, threading.Event())
        monkeypatch.setattr(inbox, "cursor", overtaken)
        reader.begin(time.time() - DAY.total_seconds())
        assert reader.catch_up()

    assert len(asked) == 2
    assert reader.tally.new == {"okta": 1}


@SQLITE
def test_more_than_okta_keeps(simulator: Simulator, app: Flask) -> None:
    """What Okta has forgotten is said, for people and for programs, and the rest is read."""
    document = read(app, "--since=100d")
    assert document["gap"]
    assert [moment[:10] for moment in document["gap"]] == [
        f"{datetime.now(UTC) - days * DAY:%Y-%m-%d}" for days in (100, 90)
    ]

    inbox = inbox_of(app)
    before = inbox.cursor(simulator.url)
    assert before
    ancient = Cursor(next_url=before.next_url, reached_at=time.time() - 95 * 24 * 3600)
    inbox.backfill([], simulator.url, before=before, after=ancient)
    simulator.org.emit(CREATED, faults=["lost"])
    result = run(app, "backfill")
    assert "Okta keeps its log for 90 days: what happened from" in result.output
    assert "okta: 1 new" in result.output
    assert read(app)["gap"] is None


HOSTILE = """[
 {"uuid": "nan", "eventType": "user.lifecycle.create", "debugContext": {"debugData": {"x": NaN}}},
 {"uuid": "surrogate", "eventType": "user.lifecycle.create", "displayMessage": "\\ud800"},
 {"uuid": "\\u0000", "eventType": "user.lifecycle.create", "published": "0000-99-99"},
 {"eventType": "user.lifecycle.create", "published": "9999-12-31T23:59:59Z"},
 {"uuid": 7, "eventType": "user.lifecycle.create", "target": null, "debugContext": null},
 {"uuid": "typeless", "debugContext": {"debugData": ""}},
 {"uuid": "others", "debugContext": {"debugData": {"targetEventHookIds": "whoElse"}}},
 null, 7, "text", []
]"""


def test_a_hostile_page(
    serve: Callable[..., Log], connect: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    """What can be read is handled; what cannot is a dead letter; reading it twice adds nothing."""
    got = []
    okta = EventHook("okta")
    okta.on("user.*")(lambda sender, event, **extra: got.append(event.raw))
    app = connect(serve(HOSTILE, page("good")).url, okta)
    buried: list[str] = []

    def bury(sender: Flask, reason: str, **extra: Any) -> None:
        buried.append(reason)

    with event_dead.connected_to(bury):
        document = read(app, "--since=1h")
        app.extensions["okta_hooks"].runtime().worker.drain()
    again = read(app, "--since=1h")

    assert document["hooks"] == {"okta": {"new": 11, "duplicate": 0, "dead": 5}}
    assert len(buried) == 5
    assert "for all receivers, from a backfill: The event" in caplog.text
    assert [event.get("uuid") for event in got] == ["nan", "surrogate", "\0", None, 7, "good"]
    assert got[1]["displayMessage"] == "\ud800"
    assert (again["new"], again["duplicate"]) == (0, 11)
    assert inbox_of(app).counts()["dead"] == 5


def test_one_odd_time_does_not_stand_for_the_whole(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """The time that was reached is that of the last event that is not in the future."""
    began = datetime.now(UTC) - DAY
    times = [
        page("a", published=began.isoformat()),
        page("b", published="2999-01-01T00:00:00Z"),
        page("c", published="?"),
    ]
    whole = json.dumps([event for each in times for event in json.loads(each)])
    log = serve(whole)
    app = connect(log.url, okta)
    seen = []
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping, progress=lambda tally: seen.append(tally.reached_at))
        reader.begin((began - DAY).timestamp())
        reader.catch_up()

    assert seen[0] == began.timestamp()


def test_hooks_that_may_not_be_read(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """The connected receivers are enough to go by, and it is said that they must be."""
    log = serve(page("a"))
    log.hooks = (403, FORBIDDEN)
    app = connect(log.url, okta)

    result = run(app, "backfill", "--since=1h")

    assert "okta: 1 new" in result.output
    assert result.output.count("okta.eventHooks.read") == 1


@SQLITE
@pytest.mark.parametrize(
    ("status", "said"), [(403, "This command needs okta.logs.read"), (401, "The token is wrong")]
)
def test_a_log_that_may_not_be_read(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    status: int,
    said: str,
) -> None:
    """That ends the command in one line, also while following."""
    log = serve()
    log.refused = [(status, FORBIDDEN)] * 2
    app = connect(log.url, okta)

    for following in ([], ["--follow"]):
        result = run(app, "backfill", "--since=1h", *following, status=1)
        assert said in result.output
        assert "Traceback" not in result.output


@SQLITE
def test_hooks_behind_a_token_that_ends(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """Any other refusal than a permission that is wanting is one of the whole."""
    log = serve(page("a"))
    log.hooks = (401, b"{}")

    assert (
        "Okta answered 401"
        in run(connect(log.url, okta), "backfill", "--since=1h", status=1).output
    )


@SQLITE
def test_a_cursor_that_okta_does_not_take(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It begins again an hour before it stopped, and says so; if that fails as well, it ends."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    reached = datetime.fromisoformat(read(app, "--since=1h")["reached"])
    log.refused = [(400, b'{"errorCode": "E0000031"}')]

    result = run(app, "backfill")
    assert "does not go on from where the backfill stopped" in result.output
    queries = [parse_qs(urlsplit(path).query) for path in log.asked]
    *_, (since,) = (query["since"] for query in queries if "since" in query)
    assert abs(datetime.fromisoformat(since) - (reached - timedelta(hours=1))) < timedelta(
        seconds=2
    )
    assert "okta: 0 new, 1 there already" in result.output

    log.pages.append(page("b"))
    with open_org(app, threading.Event()) as org:
        told: list[str] = []
        reader = reading(app, org, threading.Event(), tell=told.append)
        reader.begin()
        assert reader.catch_up()
        log.refused = [(400, b"{}")]
        assert reader.catch_up()  # also in the middle of a run
    assert len(told) == 1
    assert inbox_of(app).counts()["pending"] == 2

    log.refused = [(400, b"{}")] * 2
    assert "Okta answered 400" in run(app, "backfill", status=1).output
    log.refused = [(400, b"{}")]
    assert "Okta answered 400" in run(app, "backfill", "--since=1h", status=1).output


@SQLITE
def test_a_place_that_okta_never_gets_past(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It is read again once; that it is refused again ends it, instead of going round for ever."""
    log = serve(page("a"), page("b"))
    app = connect(log.url, okta)
    answer = log.answer

    def refuse(path: str) -> tuple[int, bytes, str | None]:
        return (400, b"{}", None) if "after=1" in path else answer(path)

    log.answer = refuse  # type: ignore[method-assign]

    result = run(app, "backfill", "--since=1h", status=1)
    assert result.output.count("does not go on from where") == 1
    assert "Okta answered 400" in result.output


@SQLITE
def test_what_may_pass_is_waited_for(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It tries again, at growing distances, and only so often if it is not to go on for good."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(503, b""), (200, b"<html>"), (500, b"{}"), (200, b"[]")]  # the last has no link
    told: list[str] = []
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping, tell=told.append)
        reader.begin(time.time() - 60)
        assert reader.catch_up()
        assert stopping.waited == [2, 4, 8, 16]
        assert "Trying again in 2 s" in told[0]
        assert "is it the URL of an Okta org? Trying again in 4 s" in told[1]
        assert reader.tally.new == {"okta": 1}

        log.refused = [(503, b"")] * 3
        with pytest.raises(OktaRefused, match="503"):
            reader.catch_up(patience=2)
        log.refused = [(200, b"<html>")] * 3
        with pytest.raises(OktaUnavailable):
            reader.catch_up(patience=2)


@SQLITE
def test_a_wait_is_broken_off(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """Also that for the rate limit: what is told to stop does not wait for a minute."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(429, b"{}")] * 3
    stopping = Impatient(most=2)
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping)
        reader.begin(time.time())
        assert not reader.catch_up()
        assert not reader.tally.is_at_end
    with pytest.raises(Stopped):
        interruptible(stopping)(1)


def test_a_page_is_stored_with_its_cursor_or_not_at_all(
    inbox: Inbox, open_inbox: Callable[[], Inbox], delivery: Callable[..., Any]
) -> None:
    """Who is overtaken by another stores nothing, and cannot move the cursor back."""
    other = open_inbox()
    start, middle, end = (
        Cursor(next_url=url, reached_at=at) for url, at in [("a", 1), ("b", 2), ("c", 3)]
    )

    assert inbox.backfill([delivery("a")], "org", before=None, after=start) is not None
    assert other.backfill([delivery("x")], "org", before=None, after=end) is None
    assert other.cursor("org") == start
    assert inbox.backfill([delivery("b")], "org", before=start, after=end) is not None
    assert other.backfill([delivery("x")], "org", before=start, after=middle) is None
    assert other.cursor("org") == end
    assert other.cursor("another org") is None
    assert sorted(event["uuid"] for event in inbox.find(Selection())) == ["a", "b"]


def test_another_backfill_is_at_work(simulator: Simulator, app: Flask) -> None:
    """Who finds the cursor moved goes on from there: what one has read the other does not read again."""
    simulator.org.emit(CREATED, count=1200, faults=["lost"])
    since = time.time() - 3600
    stopping = Impatient(most=1)
    with open_org(app, stopping) as org, open_org(app, stopping) as other_org:
        one, other = (reading(app, each, threading.Event()) for each in (org, other_org))
        one.begin(since)
        other.begin(since)
        assert one.catch_up()
        assert other.catch_up()
        assert one.tally.new == {"okta": 1200}
        assert (other.tally.new, other.tally.duplicate) == ({}, {})

        simulator.org.emit(CREATED, faults=["lost"])
        late = reading(app, other_org, threading.Event())
        late.begin()
        assert one.catch_up()
        assert late.catch_up()
    assert late.tally.duplicate == {}
    assert inbox_of(app).counts()["pending"] == 1201


@SQLITE
def test_used_wrongly(app: Flask) -> None:
    """Each mistake is named in a line."""
    assert "with --since 24h" in run(app, "backfill", status=2).output
    for later in ("2999-01-01", f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M}"):
        assert "is later than now" in run(app, "backfill", f"--since={later}", status=2).output
    assert "no span of time" in run(app, "backfill", "--follow", "--every=0s", status=2).output
    assert "no span of time" in run(app, "worker", "--backfill=soon", status=2).output
    assert "comes to an end" in run(app, "worker", "--drain", "--backfill=5m", status=2).output


@SQLITE
def test_an_app_that_cannot(connect: Callable[..., Flask]) -> None:
    """What it lacks is named in a line, before anything is read."""
    url = "https://acme.okta.com"
    astray = EventHook("astray")
    astray.on("*")(lambda *_, **__: None)

    assert (
        "No receivers are connected"
        in run(connect(url, EventHook("bare")), "backfill", "--since=1h", status=1).output
    )
    assert (
        "OKTA_HOOKS_ORG_URL is not set"
        in run(connect(None, astray), "worker", "--backfill=5m", status=1).output
    )
    two = connect(url, EventHook("a"), EventHook("b", url_prefix="/b"))
    assert "Say which --hook" in run(two, "backfill", "--name=Staff", status=2).output


def test_a_hook_is_named(simulator: Simulator, app: Flask) -> None:
    """By its name or its URL at Okta it is found though its path is another."""
    url = "https://gateway.example.com/hooks/7"
    simulator.org.register(url, ["group.privilege.grant"], name="Gateway")
    simulator.org.emit("group.privilege.grant", count=2, faults=["lost"])

    assert read(app, "--since=1h")["new"] == 0
    assert read(app, "--since=1h", "--name=Gateway 1")["new"] == 2
    assert read(app, "--since=1h", f"--url={url}/")["duplicate"] == 2


@SQLITE
def test_a_named_hook_that_cannot_be_read_any_more(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Okta means for it still is its own."""
    monkeypatch.setattr("okta_hooks.org.backfill._SECONDS_BETWEEN_LOOKS", 0.0)
    data = {"debugData": {"targetEventHookIds": "who1"}}
    pages = [
        json.dumps([{"uuid": uuid, "eventType": "group.lifecycle.create", "debugContext": data}])
        for uuid in ("a", "b")
    ]
    log = serve(*pages)
    log.hooks = (200, b'[{"id": "who1", "name": "Gateway"}]')
    app = connect(log.url, okta)
    stopping = threading.Event()

    def forbid(_: object) -> None:
        log.hooks = (403, FORBIDDEN)

    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping, hook="okta", name="Gateway", progress=forbid)
        reader.begin(time.time() - 60)
        reader.catch_up()

    assert reader.tally.new == {"okta": 2}


@SQLITE
@pytest.mark.parametrize("option", ["--name=Gatway 1", "--url=https://gateway.example.com/hooks/8"])
def test_a_hook_that_is_named_wrongly(simulator: Simulator, app: Flask, option: str) -> None:
    """It is refused before anything is read, and those that are there are named."""
    result = run(app, "backfill", "--since=1h", option, status=1)

    assert "No hook at" in result.output
    assert "https://app.example.com/okta/events" in result.output
    assert inbox_of(app).cursor(simulator.url) is None


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar shows how much is left, the rate, and the time that was reached."""
    monkeypatch.setattr("sys.stderr", Terminal())
    begin = datetime(2026, 5, 4, tzinfo=UTC).timestamp()
    with Progress(bar=True) as progress:
        progress.begin(begin, begin + 100, "https://acme.okta.com")
        progress.show(500, begin + 50, "7 new")
        progress.tell("Something happened.")
        progress.show(1000, begin + 100, "9 new")

    written = cast("Terminal", sys.stderr).getvalue()
    assert "of https://acme.okta.com from 2026-05-04T00:00:00" in written
    assert "50%" in written
    assert "up to 2026-05-04T00:00:50+00:00, 7 new" in written
    assert "\nSomething happened.\n" in written
    assert "100%" in written


def test_progress_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise there are lines: not many, and only if there is news."""
    monkeypatch.setattr("okta_hooks.cli.output._SECONDS_BETWEEN_LINES", 0.0)
    with Progress(bar=True) as progress:
        progress.begin(0.0, 1.0, "https://acme.okta.com")
        for _ in range(3):
            progress.show(500, 1.0, "7 new")

    assert capsys.readouterr().err.count("7 new") == 1


@SQLITE
def test_beside_other_work(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It begins some minutes ago, whatever either clock shows, and no failure ends it."""
    caplog.set_level("INFO")
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(401, b"{}")]
    stopping = Impatient(most=3)
    began = time.time()

    with open_org(app, stopping) as org:
        keep_up(app.extensions["okta_hooks"], org, stopping, 300)

    assert stopping.waited == [300] * 3
    assert "is tried again: Okta answered 401" in caplog.text
    assert "has brought 1 events" in caplog.text
    times = {parse_qs(urlsplit(path).query).get("since", [""])[0] for path in log.asked} - {""}
    (since,) = times  # after the failure it begins at the same time
    assert abs(datetime.fromisoformat(since).timestamp() - (began - 300)) < 5


@SQLITE
def test_a_gap_beside_other_work(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Okta has forgotten is in the log of a worker, too, also if it is found in the middle of a run."""
    log = serve()
    app = connect(log.url, okta)
    ancient = Cursor(next_url=f"{log.url}/api/v1/logs?after=00", reached_at=0.0)
    inbox_of(app).backfill([], log.url, before=None, after=ancient)
    with open_org(app, Impatient(most=1)) as org:
        keep_up(app.extensions["okta_hooks"], org, Impatient(most=1), 300)
    assert "what happened from 1970-01-01T00:00:00Z to" in caplog.text

    told: list[str] = []
    with open_org(app, threading.Event()) as org:
        reader = reading(app, org, threading.Event(), tell=told.append)
        reader.begin()
        before = inbox_of(app).cursor(log.url)
        inbox_of(app).backfill([], log.url, before=before, after=ancient)
        assert reader.catch_up()
    assert [line.partition(":")[0] for line in told] == ["Okta keeps its log for 90 days"]


@SQLITE
def test_beside_a_worker_without_receivers(
    serve: Callable[..., Log], connect: Callable[..., Flask]
) -> None:
    """A deploy that forgot to import them reads nothing, and passes nothing over."""
    log = serve(page("a"))
    app = connect(log.url, EventHook("okta"))
    stopping = Impatient(most=2)
    with open_org(app, stopping) as org:
        keep_up(app.extensions["okta_hooks"], org, stopping, 300)

    assert log.asked == []

from __future__ import annotations

import functools
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, redirect, request

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.testing import make_delivery, make_event
from tests.support import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def seen(okta: EventHook) -> list[Any]:
    """Return the events that a receiver of every type has got."""
    events: list[Any] = []

    @okta.on("*")
    def note(sender: Flask, event: Any, **extra: Any) -> None:
        events.append(event)

    return events


@pytest.fixture
def direct(make_app: Callable[..., Flask], okta: EventHook, seen: list[Any]) -> Flask:
    """Return an app that runs its receivers inside the request."""
    return make_app(okta)


@pytest.fixture
def stored(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any], tmp_path: Path
) -> Iterator[Flask]:
    """Return an app with an inbox, and a worker that starts with its first request."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    yield app
    app.extensions["okta_hooks"].close()


def send(app: Flask, *arguments: str, stdin: bytes = b"") -> Result:
    return app.test_cli_runner().invoke(group, ["send", *arguments], input=stdin)


def events_of(app: Flask) -> list[dict[str, Any]]:
    found = app.test_cli_runner().invoke(group, ["events", "list", "--json"])
    listed: list[dict[str, Any]] = json.loads(found.stdout)
    return listed


def test_an_app_with_an_inbox_stores_it_and_runs_nothing(stored: Flask, seen: list[Any]) -> None:
    """The event is left to the app's own worker: the command starts none."""
    before = set(threading.enumerate())

    result = send(stored, "user.lifecycle.deactivate")

    # What was counted for metrics is written down by one.
    begun = {thread.name for thread in set(threading.enumerate()) - before}
    assert begun <= {"okta-hooks-counters"}
    assert result.exit_code == 0
    assert result.stdout.startswith("204: accepted")
    assert seen == []
    assert [(event["type"], event["state"]) for event in events_of(stored)] == [
        ("user.lifecycle.deactivate", "pending")
    ]


def test_the_app_has_its_worker_again_afterwards(stored: Flask, okta: EventHook) -> None:
    """Sending from within a test changes nothing for the requests that come later."""
    ran = threading.Event()
    okta.signal("user.session.start").connect(lambda *_, **__: ran.set(), weak=False)
    send(stored, "user.session.start")

    stored.test_client().get("/")

    assert ran.wait(30)


def test_what_is_stored_can_be_looked_at(stored: Flask) -> None:
    """The uuid is printed with the command that shows the event; an inbox that is not there shows none."""
    result = send(stored, "user.lifecycle.deactivate", "--count", "3")

    first, second = result.stdout.splitlines()
    assert first == "204: accepted: it is stored in the inbox, for the app's worker."
    prefix, _, rest = second.partition(" events show ")
    assert prefix == "See what becomes of it: flask okta-hooks"
    uuid, _, others = rest.partition(" ")
    assert others == "(and 2 others)"
    assert uuid in {event["uuid"] for event in events_of(stored)}


def test_a_uuid_that_a_shell_would_read_is_not_printed(stored: Flask) -> None:
    """What a file holds may be anything: only plain uuids stand in a command to be copied."""
    events = [{"uuid": "a; b", "eventType": "user.session.start"}]

    result = send(stored, "--file", "-", stdin=json.dumps(events).encode())

    assert result.stdout.startswith("204: accepted: ")
    assert "events show" not in result.stdout


def test_a_type_that_no_receiver_takes(make_app: Callable[..., Flask]) -> None:
    """It is sent all the same, and that nothing will come of it is said beside the answer."""
    picky = EventHook("picky")
    picky.on("group.*")(lambda *_, **__: None)
    app = make_app(picky)

    silent, warned = send(app, "group.lifecycle.create"), send(app, "user.session.start")

    assert silent.stderr == ""
    assert warned.stderr == "No receiver in this app takes 'user.session.start'.\n"
    assert (silent.exit_code, warned.exit_code) == (0, 0)


def test_an_app_without_an_inbox_runs_its_receivers(direct: Flask, seen: list[Any]) -> None:
    """They have all got the event when the answer is there."""
    result = send(direct, "user.lifecycle.deactivate", "--target", "user:ada@example.com")

    assert result.exit_code == 0
    (event,) = seen
    assert [target.alternate_id for target in event.target] == ["ada@example.com"]


def test_a_receiver_that_fails_is_told(direct: Flask, okta: EventHook) -> None:
    """Without an inbox the answer says so, and the exit status is 1."""

    @okta.on("user.lifecycle.deactivate")
    def fail(sender: Flask, **extra: Any) -> None:
        raise LookupError

    result = send(direct, "user.lifecycle.deactivate")

    assert result.exit_code == 1
    assert result.stdout.startswith("500: a receiver failed")


def test_count_targets_and_time(direct: Flask, seen: list[Any]) -> None:
    """It makes as many events as asked for, with all targets, and other uuids in each call."""
    for _ in range(2):
        send(
            direct,
            "group.user_membership.add",
            *("--count", "3"),
            *("--target", "user:ada@example.com", "--target", "group:Engineering"),
        )

    assert len({event.uuid for event in seen}) == 6
    assert {tuple(target.type for target in event.target) for event in seen} == {
        ("User", "UserGroup")
    }
    assert {event.problems == {} for event in seen} == {True}


def test_an_unknown_type_is_sent_and_warned_of(direct: Flask, seen: list[Any]) -> None:
    """Okta adds types: one line says that this is not one of those known, and it goes its way."""
    result = send(direct, "user.lifecycle.deactivat", "--count", "2")

    assert result.exit_code == 0
    assert result.output.count("user.lifecycle.deactivate") == 1
    assert [event.event_type for event in seen] == ["user.lifecycle.deactivat"] * 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Say a TYPE or a --file."),
        (["user.session.start", "--file", "-"], "Say a TYPE or a --file."),
        (["--file", "-", "--count", "2"], "--count and --target go with a TYPE."),
        (["--file", "-", "--target", "user:ada"], "--count and --target go with a TYPE."),
        (["user.session.start", "--target", "ada"], "'ada' is no short form"),
        (["user.session.start", "--target", "user:\udcff"], r"'user:\udcff' is no text"),
        ([""], "An event type is a string such as 'user.lifecycle.create', not ''."),
        (["user.session.start", "--count", "0"], "0 is not in the range"),
        (["user.session.start", "--url", "localhost:5000"], "'localhost:5000' is no URL"),
        (["user.session.start", "--url", "http://host:port/"], "'http://host:port/' is no URL"),
        (["user.session.start", "--url", "http:///okta"], "'http:///okta' is no URL"),
        (["user.session.start", "--hook", "other"], "No hook 'other' is known; there are: okta."),
    ],
)
def test_wrong_use(direct: Flask, arguments: list[str], complaint: str, seen: list[Any]) -> None:
    """The exit status is 2, the message says what was wrong, and nothing is sent."""
    result = send(direct, *arguments, stdin=b"{}")

    assert result.exit_code == 2
    assert complaint in result.output
    assert seen == []


EVENT = make_event("user.lifecycle.create", seed=1)


@pytest.mark.parametrize(
    ("document", "times"),
    [(EVENT, 1), ([EVENT, EVENT], 2), (make_delivery([EVENT], seed=1), 1), ([], 0)],
    ids=["an event", "a list", "a delivery", "an empty list"],
)
@pytest.mark.parametrize("where", ["file", "stdin"])
def test_what_a_file_holds_is_sent_as_it_is(
    direct: Flask, seen: list[Any], tmp_path: Path, where: str, document: Any, times: int
) -> None:
    """It may be an event, a list of events or a delivery; no uuid is changed."""
    text = json.dumps(document).encode()
    path = tmp_path / "sample.json"
    path.write_bytes(text)

    result = send(direct, "--file", "-" if where == "stdin" else str(path), stdin=text)

    assert result.exit_code == 0
    assert [event.raw for event in seen] == [EVENT] * times


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "is not JSON"),
        (b"{'uuid': 1}", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"42", "holds neither an event, nor a list of events, nor a delivery."),
        (b'["user.session.start"]', "holds neither an event"),
        (b"null", "holds neither an event"),
    ],
    ids=["empty", "Python", "binary", "deep", "a number", "a list of strings", "null"],
)
def test_a_file_without_events_is_refused(
    direct: Flask, text: bytes, complaint: str, seen: list[Any]
) -> None:
    """One line says why, and nothing is sent."""
    result = send(direct, "--file", "-", stdin=text)

    assert result.exit_code == 1
    assert complaint in result.output
    assert len(result.output.splitlines()) == 1
    assert seen == []


def test_a_delivery_without_events_is_the_apps_to_refuse(direct: Flask) -> None:
    """What looks like a delivery is sent whatever is in it: so one sees what Okta would be told."""
    result = send(direct, "--file", "-", stdin=b'{"data": 1}')

    assert result.exit_code == 1
    assert result.stdout.startswith("400: refused: the body holds no events.")


def test_several_hooks_and_one_is_chosen(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any]
) -> None:
    """Each hook has its own path and secret; without a choice the command asks for one."""
    other = EventHook("other", url_prefix="/other")
    app = make_app(okta, other, SECRET={"okta": ["new", "old"], "other": "another"})

    unclear = send(app, "user.session.start")
    chosen = send(app, "user.session.start", "--hook", "okta")
    quiet = send(app, "user.session.start", "--hook", "other")

    assert (unclear.exit_code, chosen.exit_code, quiet.exit_code) == (2, 0, 0)
    assert "Say which --hook: okta, other." in unclear.output
    assert len(seen) == 1


@pytest.mark.parametrize(
    "config",
    [{"AUTH_HEADER": "X-Okta-Secret"}, {"SECRET": None, "ALLOW_UNAUTHENTICATED": True}],
    ids=["another header", "no secret"],
)
def test_the_secret_goes_where_the_app_expects_it(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any], config: dict[str, Any]
) -> None:
    """It is in the header that is configured, or nowhere if there is none."""
    assert send(make_app(okta, **config), "user.session.start").exit_code == 0
    assert len(seen) == 1


def test_an_app_without_a_hook(make_app: Callable[..., Flask]) -> None:
    """The command says how to get one."""
    result = send(make_app(), "user.session.start")

    assert result.exit_code == 1
    assert "app.register_blueprint(EventHook(name))" in result.output


@pytest.mark.parametrize("config", [{"SERVER_NAME": "a.test"}, {"TRUSTED_HOSTS": ["a.test"]}])
def test_the_app_is_called_by_a_name_that_it_answers_to(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any], config: dict[str, Any]
) -> None:
    """An app that takes requests for its own host only gets this one."""
    app = make_app(okta)
    app.subdomain_matching = True
    app.config.update(config)

    result = send(app, "user.session.start")

    assert result.exit_code == 0, result.output
    assert len(seen) == 1


def test_an_app_that_cannot_be_called(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any]
) -> None:
    """One line says why, and what to do instead."""
    app = make_app()
    app.register_blueprint(okta, subdomain="in")

    result = send(app, "user.session.start")

    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: This app does not answer for the hook 'okta' at https://"
    )
    assert result.output.endswith("To send to a server, say --url.\n")


def test_a_server_elsewhere(direct: Flask, make_app: Callable[..., Flask], seen: list[Any]) -> None:
    """With ``--url`` it goes over HTTP, with this app's secret, and not to this app."""
    far = EventHook("far")
    there: list[str] = []

    @far.on("*")
    def note(sender: Flask, event: Any, **extra: Any) -> None:
        there.append(event.event_type)

    with serving(make_app(far)) as base:
        result = send(direct, "user.session.start", "--url", f"{base}/okta/events")

    assert result.exit_code == 0
    assert result.stdout.startswith("204: accepted")
    assert (there, seen) == (["user.session.start"], [])


def test_events_that_are_no_list(direct: Flask) -> None:
    """That is the app's to refuse as well."""
    result = send(direct, "--file", "-", stdin=b'{"data": {"events": 5}}')

    assert result.exit_code == 1
    assert result.stdout.startswith("400: refused: ")


@pytest.fixture
def other_answers(make_app: Callable[..., Flask]) -> Iterator[str]:
    """Return the URL of a server that answers as servers in front of apps do."""
    app = make_app(EventHook("far"), SECRET="of another app")
    app.post("/login", endpoint="login")(lambda: redirect("/in"))
    app.post("/moved", endpoint="moved")(lambda: redirect("/in", 308))
    app.get("/page", endpoint="page")(lambda: "Hello")
    app.post("/tea", endpoint="tea")(lambda: Response(status=418))
    for status in (400, 401, 413, 500, 503):
        app.post(f"/{status}", endpoint=f"of-a-proxy-{status}")(
            functools.partial(Response, '{"status": 1}', status, mimetype="application/json")
        )
    with serving(app) as base:
        yield base


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "/okta/events",
            (
                "401: refused: the secret is wrong. Okta would not send it again. "
                "The app there has another secret than OKTA_HOOKS_SECRET here, "
                "or Authorization does not arrive there."
            ),
        ),
        ("/login", "302: a redirect, which Okta does not follow."),
        ("/moved", "308: a redirect, which Okta does not follow: register the URL it leads to."),
        ("/nowhere", "404: no hook at that URL. This app's hook is at /okta/events.\n"),
        ("/page", "405: something is at that URL, and it is no hook."),
        ("/tea", "418: not an answer of this library: what is in front of it?"),
        *(
            (f"/{status}", f"{status}: not an answer of this library: what is in front of it?\n")
            for status in (400, 401, 413, 500, 503)
        ),
    ],
)
def test_what_other_answers_mean(direct: Flask, other_answers: str, path: str, told: str) -> None:
    """Whatever is no 204 is explained, and the exit status is 1; no redirect is followed."""
    result = send(direct, "user.session.start", "--url", other_answers + path)

    assert result.exit_code == 1
    assert result.stdout.startswith(told)


@pytest.mark.parametrize("prefix", ["/hooks/okta", "/hooks/okta/"])
def test_the_app_is_asked_at_the_url_that_is_registered(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any], prefix: str
) -> None:
    """With or without a slash at the end, as it was given: a wall of the host's may let just that pass."""
    app = make_app()
    app.register_blueprint(okta, url_prefix=prefix)
    app.before_request(lambda: None if request.path == prefix else redirect("/login"))

    result = send(app, "user.session.start")

    assert result.exit_code == 0, result.output
    assert len(seen) == 1


def test_no_secret_was_sent(
    make_app: Callable[..., Flask], okta: EventHook, seen: list[Any], other_answers: str
) -> None:
    """An app that runs without a secret has none to send, and that is what a 401 means then."""
    app = make_app(okta, SECRET=None, ALLOW_UNAUTHENTICATED=True)

    result = send(app, "user.session.start", "--url", f"{other_answers}/okta/events")

    assert result.stdout.endswith("None was sent: OKTA_HOOKS_SECRET is not set here.\n")


def test_json(direct: Flask, other_answers: str) -> None:
    """With ``--json`` it is one object; the exit status is the same."""
    good = send(direct, "user.session.start", "--json")
    bad = send(direct, "user.session.start", "--json", "--url", f"{other_answers}/nowhere")

    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert json.loads(good.stdout).keys() == {"status", "meaning"}
    assert json.loads(good.stdout)["status"] == 204
    assert json.loads(bad.stdout) == {"status": 404, "meaning": "no hook at that URL."}


def test_nothing_listens(direct: Flask) -> None:
    """One line says that there is no answer, and from where."""
    with socket.socket() as taken:
        # Bound, and not listening: nobody else gets the port.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/okta/events"
        result = send(direct, "user.session.start", "--url", url)

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: No answer from {url}: ")
    assert len(result.output.splitlines()) == 1


def test_a_server_that_hangs(direct: Flask) -> None:
    """The command waits as long as Okta does, and no longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/okta/events"
        result = send(direct, "user.session.start", "--url", url)

    assert result.exit_code == 1
    assert result.output == f"Error: No answer from {url}: it took longer than Okta's 3 s.\n"

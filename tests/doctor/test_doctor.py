from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks import EventHook, Reject, testing
from okta_hooks.cli import group
from okta_hooks.doctor import configuration, examination, storage
from okta_hooks.doctor.check import age, place
from okta_hooks.org.subscription import shown
from okta_hooks.simulator import Answer, Request, Simulator
from okta_hooks.simulator import Org as SimulatedOrg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from click.testing import Result
    from flask import Flask

    from okta_hooks.doctor import Check
    from okta_hooks.inbox.claims import Inbox, NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    AppFactory = Callable[..., Flask]

SECRET = "a secret of the tests and of nothing else"
TOKEN = "00a-token-nobody-may-see"
URL = "https://app.example.com/okta/events"
MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR


def levels(checks: Iterable[Check]) -> list[str]:
    return [check.level for check in checks]


def only(checks: Iterable[Check]) -> Check:
    (check,) = checks
    return check


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """Return a clock that shows the real time when it is made: commands have no other."""
    clock.now = time.time()
    return clock


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with a receiver that takes nothing."""

    @okta.on("user.lifecycle.*", name="users")
    def users(sender: Flask, **extra: Any) -> None:
        raise Reject("not ours")

    return okta


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    app = make_app(okta, INBOX=inbox_url, SECRET=SECRET)
    yield app
    app.extensions["okta_hooks"].close()


def run(app: Flask, *arguments: str) -> Result:
    result = app.test_cli_runner().invoke(group, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for hidden in (SECRET, TOKEN):
        assert hidden not in result.output
    return result


def examine(app: Flask, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """Run the command, and return what it found, by the names of the checks."""
    found: dict[str, list[dict[str, str]]] = {}
    for check in json.loads(run(app, "doctor", "--json", *arguments).stdout):
        found.setdefault(check["name"], []).append(check)
    return found


def level(found: dict[str, list[dict[str, str]]], name: str) -> str:
    (check,) = found[name]
    return check["level"]


# Words


def test_ages_places_and_urls() -> None:
    """They read as people say them, and of a URL nothing is shown that may be secret."""
    assert [age(seconds) for seconds in (-1, 5, 90, 3 * HOUR, 5 * DAY)] == [
        *("0 s", "5 s", "2 min", "3 h", "5 d")
    ]
    assert [place(number) for number in (0, 2, 3)] == ["first", "third", "4th"]
    assert shown("https://u:p@host:8443/a?key=k#f") == "https://host:8443/a"
    assert shown("/login?next=x") == "/login"


# Configuration


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["k8sX2mPq-not-a-word"], None),
        (["k8sX2mPq-not-a-word", "another-of-that-kind"], None),
        (["k8sX2mPq"], "has fewer than 16 characters"),
        (["correct horse battery staple"], "anybody would guess"),
        (["ChangeMe"], "anybody would guess"),
        (["<put your secret here>"], "anybody would guess"),
        (["x" * 40], "anybody would guess"),
        (["'k8sX2mPq-not-a-word'"], "stands in quotes"),
        (["k8sX2mPq-not-a-word", "short"], "The secret in second place has fewer"),
        (["k8sX2mPq-not-a-word"] * 2, "stands in the list twice"),
    ],
)
def test_secrets(values: list[str], said: str | None) -> None:
    """One that is short, well known, quoted or there twice is warned of, and never shown."""
    found = list(configuration.secrets(values, allow_unauthenticated=False))

    if said is None:
        assert levels(found) == ["ok"]
    else:
        warned = [check for check in found if check.level == "warning"]
        assert said in only(warned).text
    texts = " ".join(f"{check.text}{check.cure}" for check in found)
    assert "k8sX2mPq" not in texts


@pytest.mark.parametrize("values", [[], ["k8sX2mPq-not-a-word"]])
def test_no_secret_is_needed(values: list[str]) -> None:
    """That anybody may post is warned of, whether there is a secret or not."""
    found = list(configuration.secrets(values, allow_unauthenticated=True))

    assert found[0].level == "warning"
    assert "OKTA_HOOKS_ALLOW_UNAUTHENTICATED is on" in found[0].text


def test_the_header() -> None:
    """One that proxies keep for themselves is warned of."""
    assert only(configuration.auth_header("X-Okta-Secret")).level == "ok"
    assert only(configuration.auth_header("Proxy-Authorization")).level == "warning"


def test_a_small_limit(make_app: AppFactory, okta: EventHook) -> None:
    """Deliveries have no maximum, so a limit below a megabyte is warned of."""
    assert levels(configuration.limits(10 * 1024 * 1024)) == []
    assert levels(configuration.limits(1000)) == ["warning"]
    assert level(examine(make_app(okta, INBOX=None, MAX_BODY=1000), "--offline"), "body-size") == (
        "warning"
    )


def test_without_an_inbox(make_app: AppFactory, okta: EventHook) -> None:
    """That Okta waits for receivers is warned of, and nothing more is said of an inbox."""
    found = examine(make_app(okta, SECRET=SECRET, INBOX=None), "--offline")

    assert level(found, "inbox") == "warning"
    assert "worker" not in found


def test_receivers() -> None:
    """None at all is a failure, unless another app may have them; a misspelt type has its near miss."""
    none: dict[str, list[str]] = {}
    assert only(configuration.receivers(none, is_external=False)).level == "failure"
    assert only(configuration.receivers(none, is_external=True)).level == "warning"
    good = {"a": ["user.lifecycle.*"], "b": ["*"]}
    assert only(configuration.receivers(good, is_external=False)).level == "ok"
    bad = {"a": ["user.lifecycle.deactivat", "*"], "b": ["event_hook.delivery"]}
    log_only, misspelt = configuration.receivers(bad, is_external=False)
    assert "'user.lifecycle.deactivate' meant? For that, a will" in misspelt.text
    assert "in its System Log only" in log_only.text
    assert (misspelt.level, log_only.level) == ("warning", "warning")
    in_beta = only(configuration.receivers({"a": ["entitlement.*"]}, is_external=False))
    assert in_beta.level == "warning"
    assert "has to be named exactly: entitlement." in in_beta.text


# The inbox


def test_a_good_inbox(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It can be written, a worker has been there just now, and little waits."""
    inbox.store([delivery("a")])
    inbox.see_lanes([("okta", "users")])

    found = examine(app, "--offline")

    for name in ("inbox", "worker", "backlog", "dead-letters"):
        assert level(found, name) == "ok"
    assert found["backlog"][0]["text"] == "1 event is open, the oldest for 0 s."
    assert "rotation" not in found
    assert run(app, "doctor", "--offline").exit_code == 0


def test_nobody_works(app: Flask, inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """A worker that was there and is not, and what waits for it, are told with how long."""
    clock.now -= 2 * HOUR
    inbox.store([delivery("a"), delivery("b")])
    inbox.see_lanes([("okta", "users"), ("okta", "gone")])
    inbox.fan_out(["okta"], lambda _: ["gone"])

    found = examine(app, "--offline")

    assert level(found, "worker") == "failure"
    assert "last seen 2 h ago" in found["worker"][0]["text"]
    assert level(found, "backlog") == "warning"
    assert "gone is not connected any more, and 2 of its receipts" in found["receivers"][1]["text"]
    assert run(app, "doctor", "--offline").exit_code == 1


def test_a_worker_is_yet_to_come() -> None:
    """An app that was never asked has had none; an external one has been forgotten."""
    never = only(storage.worker([], ["a"], 0.0, is_external=False))
    forgotten = only(storage.worker([], ["a"], 0.0, is_external=True))

    assert (never.level, forgotten.level) == ("warning", "failure")
    assert "flask okta-hooks worker" in str(forgotten.cure)
    assert list(storage.worker([], [], 0.0, is_external=True)) == []


def test_a_worker_of_other_code() -> None:
    """One that does not have all receivers of this app is at work on old code."""
    lanes = [{"receiver": "a", "seen_at": 990.0}, {"receiver": "b", "seen_at": 10.0}]

    found = only(storage.worker(lanes, ["a", "b", "c"], 1000.0, is_external=False))

    assert found.level == "warning"
    assert "does not have b, c" in found.text


def test_dead_letters(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """They are counted, with the way to see them."""
    inbox.store([delivery("a", "b")])
    run(app, "worker", "--drain")

    found = examine(app, "--offline")

    assert found["dead-letters"][0]["text"] == "2 events are given up."
    assert level(found, "dead-letters") == "warning"
    assert "events list --state dead" in found["dead-letters"][0]["cure"]


def test_an_inbox_that_cannot_be_written(app: Flask, inbox: Inbox, engine: sa.Engine) -> None:
    """The database's own words are the reason; the checks that need it are left out, the others are not."""
    inbox.open()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery RENAME TO elsewhere"))

    found = examine(app, "--offline")

    assert level(found, "inbox") == "failure"
    assert "okta_hooks_delivery" in found["inbox"][0]["text"]
    assert "worker" not in found
    assert level(found, "host") == "ok"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://okta:s3cret@127.0.0.1:1/none", "Every delivery is answered with 503"),
        ("postgresql://okta:s3cret@127.0.0.1:port/none", "is no URL of a database"),
    ],
)
def test_a_database_that_is_not_there(
    make_app: AppFactory, okta: EventHook, url: str, said: str
) -> None:
    """Why, in words without the password."""
    found = examine(make_app(okta, SECRET=SECRET, INBOX=url), "--offline")

    assert level(found, "inbox") == "failure"
    assert said in found["inbox"][0]["text"]
    assert "s3cret" not in str(found)


# Where the file lies


def test_the_kind_of_file_system() -> None:
    """What goes with a container is warned of, what is another machine's is a failure."""
    where = Path("/srv/inbox.sqlite3")
    assert levels(storage.lasting(where, "ext4")) == levels(storage.lasting(where, None)) == []
    assert levels(storage.lasting(where, "overlay")) == ["warning"]
    assert levels(storage.lasting(where, "nfs4")) == ["failure"]


def test_where_the_file_lies_is_asked(tmp_path: Path) -> None:
    """Memory is told from a disk, a full place from one with room, and a file has its mode."""
    in_memory = list(storage.location(Path("/dev/shm/okta-hooks-is-not-there.sqlite3")))
    assert "(tmpfs) that may not survive a restart" in in_memory[0].text

    assert any("0 MiB are free" in check.text for check in storage.location(Path("/proc/inbox")))

    open_to_all = tmp_path / "inbox.sqlite3"
    open_to_all.touch()
    open_to_all.chmod(0o644)
    assert "(mode 0644)" in list(storage.location(open_to_all))[-1].text


def test_little_space() -> None:
    """It is warned of, and is a failure before nothing is left."""
    where = Path("/srv/inbox.sqlite3")
    assert levels(storage.space(where, 5 * 1024**3)) == []
    assert levels(storage.space(where, 500 * 1024**2)) == ["warning"]
    assert levels(storage.space(where, 5 * 1024**2)) == ["failure"]


def test_whose_the_file_is(tmp_path: Path) -> None:
    """Other readers, and another owner, are warned of."""
    file = tmp_path / "inbox.sqlite3"
    file.touch(0o600)
    me = os.geteuid()
    assert levels(storage.access(file, file.stat(), me)) == ["ok"]
    assert "another user" in only(storage.access(file, file.stat(), me + 1)).text
    file.chmod(0o644)
    assert "(mode 0644)" in only(storage.access(file, file.stat(), me)).text


def test_a_file_that_cannot_be_made() -> None:
    """A folder that cannot be made is a failure before the first delivery is."""
    found = list(storage.location(Path("/dev/null/okta/inbox.sqlite3")))

    assert found[-1].level == "failure"
    assert "this user may not make it" in found[-1].text


# Rotation


@pytest.mark.parametrize(
    ("used", "level", "said"),
    [
        ({}, "skipped", "No delivery has come yet since these 2 secrets are live"),
        ({1: (HOUR, 4 * MINUTE)}, "warning", "Okta still sends an old one."),
        ({1: (9 * HOUR, 4 * HOUR)}, "warning", "Okta still sends an old one."),
        ({0: (2 * MINUTE, MINUTE)}, "ok", "Keep all until"),
        ({0: (2 * HOUR, 2 * MINUTE), 1: (3 * HOUR, 5 * MINUTE)}, "ok", "Keep all until"),
        ({0: (2 * MINUTE, 2 * MINUTE), 1: (9 * HOUR, 3 * HOUR)}, "ok", "Keep all until"),
        (
            {0: (2 * HOUR, 2 * MINUTE), 1: (9 * HOUR, 3 * HOUR)},
            "warning",
            (
                "the first was last used 2 min ago, the second was last used 3 h ago. "
                "Okta sends the first: the second can go."
            ),
        ),
        ({0: (2 * HOUR, 2 * HOUR)}, "warning", "the second was not used. Okta sends the first"),
        # Somebody has tried the new one, and Okta goes on with the old one.
        ({0: (5 * HOUR, 5 * HOUR), 1: (9 * HOUR, 2 * HOUR)}, "warning", "still sends an old one"),
    ],
)
def test_which_secret_can_go(used: dict[int, tuple[float, float]], level: str, said: str) -> None:
    """An hour after the last use of the old one, and with the new one in use, the old one can go."""
    now = 100 * DAY
    at = {number: (now - first, now - last) for number, (first, last) in used.items()}

    found = only(storage.rotation(at, 2, now))

    assert found.level == level
    assert said in found.text


def test_three_secrets_and_one() -> None:
    """One is no rotation; of three, all but the first can go."""
    now = 100 * DAY
    assert list(storage.rotation({}, 1, now)) == []
    used = {0: (now - DAY, now), 2: (now - 3 * DAY, now - 2 * DAY)}
    assert "all others can go" in only(storage.rotation(used, 3, now)).text


def test_a_rotation_from_beginning_to_end(
    make_app: AppFactory, inbox_url: str, okta: EventHook, clock: Clock, body: Callable[..., bytes]
) -> None:
    """What Okta sends decides, from when the second secret is live; sample deliveries do not count."""

    def app_with(*secrets: str) -> Flask:
        app = make_app(okta, INBOX=inbox_url, SECRET=list(secrets))
        app.extensions["okta_hooks"].configure(inbox=inbox_url, worker="external")
        app.testing = True
        return app

    def post(app: Flask, secret: str, uuid: str, **envelope: Any) -> None:
        made = body({"uuid": uuid, "eventType": "user.lifecycle.create"}, **envelope)
        headers = {"Authorization": secret}
        assert app.test_client().post("/okta/events", data=made, headers=headers).status_code == 204

    before, during = app_with("the old one here"), app_with("the new one here", "the old one here")
    post(before, "the old one here", "a")
    assert level(examine(during, "--offline"), "rotation") == "skipped"
    post(during, "the new one here", "b", source=testing.SAMPLE_SOURCE)
    assert level(examine(during, "--offline"), "rotation") == "skipped"
    post(during, "the old one here", "c")
    assert "still sends an old one" in examine(during, "--offline")["rotation"][0]["text"]
    post(during, "the new one here", "d")
    assert level(examine(during, "--offline"), "rotation") == "ok"
    # The next rotation has a list as long, and what was the first is the second now.
    after = app_with("the newest one here", "the new one here")
    assert level(examine(after, "--offline"), "rotation") == "skipped"
    post(after, "the new one here", "f")
    assert "still sends an old one" in examine(after, "--offline")["rotation"][0]["text"]
    for app in (before, during, after):
        app.extensions["okta_hooks"].close()


# What is registered at Okta


def answer_challenge(request: Request) -> Answer:
    challenge = request.headers["X-Okta-Verification-Challenge"]
    return Answer(status=200, body=json.dumps({"verification": challenge}).encode())


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Run an org whose hooks answer the challenge; nothing of the machine's own configuration counts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "OKTA_CLIENT_ORGURL", "OKTA_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Simulator(SimulatedOrg(token=TOKEN, seed=1, send=answer_challenge)) as simulator:
        yield simulator


@pytest.fixture
def registered(simulator: Simulator, make_app: AppFactory) -> Callable[..., Flask]:
    """Return a function that registers a hook at the org, and returns an app that may ask the org."""

    def register(
        *,
        url: str = "https://127.0.0.1:1/okta/events",
        items: tuple[str, ...] = ("user.session.start",),
        key: str = "Authorization",
        verified: bool = True,
        active: bool = True,
        name: str = "Staff",
    ) -> Flask:
        made = simulator.org.create_hook(
            {
                "name": name,
                "events": {"type": "EVENT_TYPE", "items": list(items)},
                "channel": {
                    "type": "HTTP",
                    "version": "1.0.0",
                    "config": {
                        "uri": url,
                        "authScheme": {"type": "HEADER", "key": key, "value": SECRET},
                    },
                },
            }
        )
        if verified:
            simulator.org.verify_hook(made["id"])
        if not active:
            simulator.org.deactivate_hook(made["id"])
        okta = EventHook("okta")
        okta.on("user.session.start")(lambda *_, **__: None)
        config = {"ORG_URL": simulator.url, "API_TOKEN": TOKEN}
        return make_app(okta, SECRET=SECRET, INBOX=None, **config)

    return register


def test_a_hook_in_step(registered: Callable[..., Flask]) -> None:
    """Nothing is to do, and the URL that Okta has is the one that is asked."""
    found = examine(registered())

    assert level(found, "registration") == "ok"
    assert "'Staff' at Okta is active, verified" in found["registration"][0]["text"]
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]
    assert level(found, "reachable") == "failure"


@pytest.mark.parametrize(
    ("how", "level", "said"),
    [
        ({"verified": False}, "failure", "is UNVERIFIED: it gets no events"),
        ({"active": False}, "failure", "is INACTIVE: it gets no events"),
        ({"items": ("user.session.end",)}, "failure", "lacks 1 types"),
        (
            {"items": ("user.session.start", "user.session.end")},
            "warning",
            "that no receiver wants",
        ),
        ({"key": "X-Okta-Secret"}, "failure", "X-Okta-Secret instead of Authorization"),
    ],
)
def test_a_hook_out_of_step(
    registered: Callable[..., Flask], how: dict[str, Any], level: str, said: str
) -> None:
    """What keeps events away is a failure, what only comes in vain a warning."""
    found = examine(registered(**how))["registration"]

    assert any(check["level"] == level and said in check["text"] for check in found)


def test_a_hook_at_another_path(registered: Callable[..., Flask]) -> None:
    """A URL that was asked for may be at a path that the app does not have."""
    url = "https://127.0.0.1:1/elsewhere"
    (found,) = examine(registered(url=url), "--url", url)["registration"]

    assert found["level"] == "warning"
    assert "the app has the hook at /okta/events" in found["text"]


def test_no_hook_at_okta(registered: Callable[..., Flask]) -> None:
    """It is said how to register it."""
    app = registered(url="https://127.0.0.1:1/elsewhere")
    for arguments, said in [
        ((), "delivers to the path /okta/events."),
        (("--url", "http://localhost:9/okta/events"), "delivers to the path /okta/events."),
        (("--url", "https://a.invalid/okta?k=v"), "delivers to https://a.invalid/okta."),
        (("--name", "Others"), "is named 'Others'."),
    ]:
        (found,) = examine(app, *arguments)["registration"]

        assert found["level"] == "failure"
        assert found["text"] == f"No event hook of the org {said}"
        assert "apply --url" in found["cure"]


def test_the_app_itself_is_asked(registered: Callable[..., Flask]) -> None:
    """The registration is found by its path in the app, and that its URL is another is no difference."""
    app = registered(url="https://app.invalid/okta/events")
    (found,) = examine(app, "--url", "http://localhost:9/okta/events")["registration"]

    assert found["level"] == "ok"


def test_another_url_than_okta_has(registered: Callable[..., Flask]) -> None:
    """A public URL to which Okta does not post is warned of; a slash at its end is no difference."""
    app = registered(url="https://app.invalid/okta/events?key=k")
    (found,) = examine(app, "--url", "https://test.invalid/okta/events")["registration"]

    assert found["level"] == "warning"
    assert (
        "delivers to https://app.invalid/okta/events, which is not what is asked" in found["text"]
    )
    same = examine(app, "--url", "https://app.invalid/okta/events?key=k/")
    assert level(same, "registration") == "ok"


def test_several_hooks_at_okta(registered: Callable[..., Flask]) -> None:
    """Which is meant must be said: they may be of several apps."""
    registered()
    found = examine(registered(url="https://127.0.0.2:1/okta/events"))

    assert level(found, "registration") == "failure"
    assert "Several hooks of the org may be meant" in found["registration"][0]["text"]
    assert found["registration"][0]["text"].endswith("say which with --name.")
    assert "--url" not in found["registration"][0]["cure"]
    assert level(found, "url") == "skipped"


def test_a_hook_is_told_by_its_name(registered: Callable[..., Flask]) -> None:
    """Of several at one path, and with a query that nobody else is shown."""
    url = "https://127.0.0.1:1/okta/events?key=hush"
    registered(url=url, name="Others", verified=False)
    app = registered(url=url)

    assert "hush" not in examine(app)["registration"][0]["text"]
    found = examine(app, "--name", "Staff")
    assert level(found, "registration") == "ok"
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]
    assert "is UNVERIFIED" in examine(app, "--name", "Others")["registration"][0]["text"]


def test_no_receivers_to_compare_with(
    simulator: Simulator, registered: Callable[..., Flask], make_app: AppFactory
) -> None:
    """An app without receivers, such as the web half of two, is not told to unsubscribe from everything."""
    registered()
    config = {"ORG_URL": simulator.url, "API_TOKEN": TOKEN}
    found = examine(make_app(EventHook("okta"), SECRET=SECRET, INBOX=None, **config))

    assert level(found, "registration") == "skipped"
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]


def test_okta_refuses(registered: Callable[..., Flask], simulator: Simulator) -> None:
    """A wrong token is one readable line, and the rest is looked at."""
    app = registered()
    simulator.org.token = "another"

    found = examine(app)

    assert level(found, "registration") == "failure"
    assert "Okta answered 401" in found["registration"][0]["text"]
    assert level(found, "host") == "ok"


def test_an_org_without_a_token(make_app: AppFactory, okta: EventHook) -> None:
    """What is missing in the configuration is said."""
    app = make_app(okta, SECRET=SECRET, INBOX=None, ORG_URL="https://acme.okta.com")

    assert "OKTA_HOOKS_API_TOKEN is not set" in examine(app)["registration"][0]["text"]


def test_okta_is_not_asked(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an org, and offline, that part is left out."""
    monkeypatch.delenv("OKTA_CLIENT_ORGURL", raising=False)
    app = make_app(okta, SECRET=SECRET, INBOX=None)

    assert level(examine(app), "registration") == "skipped"
    assert "registration" not in examine(app, "--offline")
    monkeypatch.setitem(sys.modules, "okta.config.config_setter", None)
    assert level(examine(app), "registration") == "skipped"


def test_the_sdk_is_not_there(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cure is in what is said, and no other contradicts it."""
    monkeypatch.setitem(sys.modules, "okta.config.config_setter", None)
    app = make_app(okta, SECRET=SECRET, INBOX=None, ORG_URL="https://acme.okta.com")

    (found,) = examine(app)["registration"]
    assert found["level"] == "failure"
    assert found["text"].endswith("pip install 'okta-hooks[okta]'.")
    assert "ORG_URL" not in found["cure"]


def test_an_org_that_only_the_sdk_knows(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What stands in okta.yaml counts."""
    file = tmp_path / "okta.yaml"
    file.write_text("okta:\n  client:\n    orgUrl: https://acme.okta.com\n")
    monkeypatch.setattr("okta.config.config_setter._LOCAL_YAML_PATH", str(file))
    monkeypatch.delenv("OKTA_CLIENT_ORGURL", raising=False)
    app = make_app(okta, SECRET=SECRET, INBOX=None)

    assert "OKTA_HOOKS_API_TOKEN is not set" in examine(app)["registration"][0]["text"]


def test_something_that_is_no_org(registered: Callable[..., Flask], simulator: Simulator) -> None:
    """A question is the end of its sentence, and the cure is about the way there."""
    app = registered()
    simulator.app.before_request(lambda: "Hello")

    (found,) = examine(app)["registration"]
    assert found["text"].endswith("is it the URL of an Okta org?")
    assert "OKTA_HOOKS_ORG_URL" in found["cure"]


# The command


def test_what_people_see(make_app: AppFactory, okta: EventHook) -> None:
    """A line for each check, its cure below it, and the counts at the end."""
    result = run(make_app(okta, SECRET=SECRET, INBOX=None), "doctor", "--offline")

    lines = result.stdout.splitlines()
    assert lines[0].startswith("ok       secret")
    where = next(number for number, line in enumerate(lines) if "inbox " in line)
    assert lines[where].startswith("warning  inbox          OKTA_HOOKS_INBOX is None")
    assert lines[where + 1].strip().startswith("-> Leave the key away")
    assert lines[-1] == "0 failures, 1 warnings, 4 ok, 0 skipped"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--offline", "--url", URL], "--url is asked over the network"),
        (["--offline", "--name", "Staff"], "--name is looked up at Okta"),
        (["--url", "app.example.com"], "is no URL"),
        (["--hook", "other"], "Say which --hook: okta."),
    ],
)
def test_wrong_use(
    make_app: AppFactory, okta: EventHook, arguments: list[str], complaint: str
) -> None:
    """The exit status is 2, and the message says what was wrong."""
    result = run(make_app(okta, SECRET=SECRET, INBOX=None), "doctor", *arguments)

    assert result.exit_code == 2
    assert complaint in result.output


def test_a_check_that_fails_itself(make_app: AppFactory, okta: EventHook) -> None:
    """It is a failure of its own, without a traceback, and the others run."""
    app = make_app(okta, SECRET=SECRET, INBOX=None)
    app.config["TRUSTED_HOSTS"] = 7  # no list

    found = examine(app, "--offline")

    assert "could not be checked to its end: TypeError" in found["host"][0]["text"]
    assert level(found, "inbox") == "warning"


def test_it_can_be_asked_from_code(make_app: AppFactory, okta: EventHook) -> None:
    """Each check comes when it is known."""
    app = make_app(okta, SECRET=SECRET, INBOX=None)
    checks = examination.examine(app, app.extensions["okta_hooks"], "okta", offline=True)

    assert next(checks).name == "secret"

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask, redirect, request
from flask_wtf import CSRFProtect

from okta_hooks import EventHook, Reject, blueprint, signals
from okta_hooks.wire import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from blinker import NamedSignal
    from werkzeug.test import TestResponse
    from werkzeug.wrappers import Response

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]

SECRET = "correct horse"
RIGHT = {"Authorization": SECRET}
CHALLENGE = {"X-Okta-Verification-Challenge": "3f29"}
URL = "/okta/events"
SMALL = 2000
CREATED = "user.lifecycle.create"
DEACTIVATED = "user.lifecycle.deactivate"
SUSPENDED = "user.lifecycle.suspend"
LOGGER = "okta_hooks.blueprint"


def post(app: Flask, body: Any = b"", secret: str = SECRET, url: str = URL) -> TestResponse:
    return app.test_client().post(url, data=body, headers={"Authorization": secret})


def verify(app: Flask, url: str = URL, **headers: str) -> TestResponse:
    return app.test_client().get(url, headers={**CHALLENGE, **headers})


def assert_problem(response: TestResponse, status: int) -> None:
    """Check that a refusal is RFC 9457's, says what to do, and leads nowhere else."""
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    assert "Location" not in response.headers
    assert response.json is not None
    assert response.json["status"] == status
    assert response.json["title"]
    assert response.json["detail"]


class Heard:
    """A receiver that remembers what it was called with."""

    def __init__(self) -> None:
        self.senders: list[Any] = []
        self.arguments: list[dict[str, Any]] = []

    def __call__(self, sender: Any, **arguments: Any) -> None:
        """Remember a call."""
        self.senders.append(sender)
        self.arguments.append(arguments)

    @property
    def events(self) -> list[str]:
        """The uuids of the events."""
        return [arguments["event"].uuid for arguments in self.arguments]


@pytest.fixture
def hear() -> Iterator[Callable[[NamedSignal], Heard]]:
    """Return a function that listens to a signal until the test ends."""
    connected = []

    def listen(signal: NamedSignal) -> Heard:
        heard = Heard()
        signal.connect(heard, weak=False)
        connected.append((signal, heard))
        return heard

    yield listen
    for signal, heard in connected:
        signal.disconnect(heard)


def nowhere(_: Exception) -> Response:
    return redirect("/login")


@pytest.fixture(params=[False, True], ids=["plain host", "host that catches all errors"])
def host(request: pytest.FixtureRequest, make_app: AppFactory) -> Flask:
    """Return an app with a hook, in which a receiver of ``user.lifecycle.suspend`` fails."""
    okta = EventHook("okta")

    @okta.on(SUSPENDED)
    def fails(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    app = make_app(okta, MAX_BODY=SMALL)
    if request.param:
        for caught in (Exception, 400, 401, 413, 500):
            app.register_error_handler(caught, nowhere)
        assert app.test_client().get("/no/such/page").status_code == 302
    return app


class Interrupted(io.BytesIO):
    """A body whose sender goes away, as servers tell it: by an error while reading."""

    def read(self, *_: Any) -> bytes:
        """Fail, as a read from a closed socket does."""
        raise ConnectionResetError

    def readinto(self, *_: Any) -> int:
        """Fail, as a read from a closed socket does."""
        raise ConnectionResetError


CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


class Row(NamedTuple):
    """One row of the design's table: a request and its answer."""

    method: str
    status: int
    headers: Mapping[str, str]
    body: Any = b""
    environ: Mapping[str, Any] = {}


def ask(app: Flask, row: Row) -> TestResponse:
    return app.test_client().open(
        URL,
        method=row.method,
        headers=row.headers,
        input_stream=io.BytesIO(row.body) if isinstance(row.body, bytes) else row.body,
        environ_overrides={**row.environ},
    )


def wrapped(events: Any) -> bytes:
    return json.dumps({"data": {"events": events}}).encode()


WRONG = {"Authorization": "wrong"}
ROWS = {
    "GET, right secret": Row("GET", 200, RIGHT | CHALLENGE),
    "GET, no secret": Row("GET", 200, CHALLENGE),
    "GET, wrong secret": Row("GET", 401, WRONG | CHALLENGE),
    "GET, empty secret": Row("GET", 401, {"Authorization": ""} | CHALLENGE),
    "GET, no challenge": Row("GET", 400, RIGHT),
    "GET, no challenge, wrong secret": Row("GET", 400, WRONG),
    "GET, empty challenge": Row("GET", 400, {"X-Okta-Verification-Challenge": ""}),
    "GET, longest challenge": Row("GET", 200, {"X-Okta-Verification-Challenge": "x" * 1024}),
    "GET, longer challenge": Row("GET", 400, {"X-Okta-Verification-Challenge": "x" * 1025}),
    "POST, wrong secret": Row("POST", 401, WRONG, wrapped([])),
    "POST, no secret": Row("POST", 401, {}, wrapped([])),
    "POST, empty secret": Row("POST", 401, {"Authorization": ""}, wrapped([])),
    "POST, secret twice": Row("POST", 401, {"Authorization": f"{SECRET}, {SECRET}"}, wrapped([])),
    "POST, secret as a scheme": Row("POST", 401, {"Authorization": f"Bearer {SECRET}"}, b"{}"),
    "POST, secret elsewhere": Row("POST", 401, {"X-Authorization": SECRET}, wrapped([])),
    "POST, wrong secret, too large": Row("POST", 401, WRONG, b" " * (SMALL + 1)),
    "POST, wrong secret, broken off": Row("POST", 401, WRONG, Interrupted(), CHUNKED),
    "POST, largest": Row("POST", 204, RIGHT, wrapped([]).ljust(SMALL)),
    "POST, too large": Row("POST", 413, RIGHT, wrapped([]).ljust(SMALL + 1)),
    "POST, chunked": Row("POST", 204, RIGHT, wrapped([]).ljust(SMALL), CHUNKED),
    "POST, chunked, too large": Row("POST", 413, RIGHT, wrapped([]).ljust(SMALL + 1), CHUNKED),
    "POST, said to be too large": Row(
        "POST", 413, RIGHT, wrapped([]), {"CONTENT_LENGTH": str(10 * SMALL)}
    ),
    "POST, shorter than said": Row("POST", 400, RIGHT, wrapped([]), {"CONTENT_LENGTH": "1999"}),
    "POST, broken off": Row("POST", 400, RIGHT, Interrupted(), CHUNKED),
    "POST, empty": Row("POST", 400, RIGHT),
    "POST, not JSON": Row("POST", 400, RIGHT, b"eventType=com.okta.event_hook"),
    "POST, not UTF-8": Row("POST", 400, RIGHT, b'{"data":{"events":["\xff"]}}'),
    "POST, nested too deep": Row("POST", 400, RIGHT, b"[" * SMALL),
    "POST, a list": Row("POST", 400, RIGHT, b"[]"),
    "POST, no data": Row("POST", 400, RIGHT, b"{}"),
    "POST, data null": Row("POST", 400, RIGHT, b'{"data":null}'),
    "POST, no events": Row("POST", 400, RIGHT, b'{"data":{}}'),
    "POST, events null": Row("POST", 400, RIGHT, wrapped(None)),
    "POST, events no list": Row("POST", 400, RIGHT, wrapped({"eventType": CREATED})),
    "POST, empty list": Row("POST", 204, RIGHT, wrapped([])),
    "POST, events": Row("POST", 204, RIGHT, wrapped([{"eventType": CREATED}])),
    "POST, unreadable events": Row("POST", 204, RIGHT, wrapped([None, 1, {}, {"eventType": 2}])),
    "POST, unknown type": Row("POST", 204, RIGHT, wrapped([{"eventType": "moon.landing"}])),
    "POST, content type of a form": Row(
        "POST",
        204,
        RIGHT | {"Content-Type": "application/x-www-form-urlencoded"},
        wrapped([{"eventType": CREATED}]),
    ),
    "POST, a receiver failed": Row("POST", 500, RIGHT, wrapped([{"eventType": SUSPENDED}])),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_answer_table(host: Flask, row: Row) -> None:
    """Each request gets its answer, and the host's error handlers never see it."""
    response = ask(host, row)

    if row.status == 200:
        assert response.status_code == 200
        assert response.mimetype == "application/json"
        echoed = row.headers["X-Okta-Verification-Challenge"]
        assert response.json == {"verification": echoed}
    elif row.status == 204:
        assert response.status == "204 NO CONTENT"
        assert response.data == b""
    else:
        assert_problem(response, row.status)
        assert SECRET not in response.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answers_are_not_cached(make_app: AppFactory, okta: EventHook, method: str) -> None:
    """Neither a verification nor a refusal may be answered by a cache the next time."""
    response = make_app(okta).test_client().open(URL, method=method, headers=CHALLENGE)

    assert response.headers["Cache-Control"] == "no-store"


def test_a_challenge_is_echoed_as_json(make_app: AppFactory, okta: EventHook) -> None:
    """Quotes, angle brackets and other than ASCII characters come back as they were sent."""
    challenge = '"</script>\\é'

    response = verify(make_app(okta), **{"X-Okta-Verification-Challenge": challenge})

    assert response.json == {"verification": challenge}


def test_max_body_is_ours_not_the_hosts(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """A host that allows its own forms a few bytes only does not refuse Okta's deliveries."""
    app = make_app(okta)
    app.config["MAX_CONTENT_LENGTH"] = 10
    delivery = body(CREATED)

    @app.post("/form")
    def form() -> str:
        raise AssertionError("never reached: reading the form fails")

    @app.before_request
    def reads_forms() -> None:
        if request.path == "/form":
            request.get_data()

    assert app.test_client().post("/form", data=delivery).status_code == 413
    assert post(app, delivery).status_code == 204


def test_max_body_is_10_mib_by_default(make_app: AppFactory, okta: EventHook) -> None:
    """Without configuration, 10 MiB are read and one byte more is not."""
    app = make_app(okta)
    largest = 10 * 1024 * 1024

    assert post(app, wrapped([]).ljust(largest)).status_code == 204
    assert post(app, wrapped([]).ljust(largest + 1)).status_code == 413


def test_a_body_that_the_host_has_read_is_still_there(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """A host that looks at every request's JSON first does not take the delivery away."""
    app = make_app(okta)
    received = okta.on(CREATED)(Heard())

    @app.before_request
    def looks() -> None:
        request.get_json(silent=True)

    response = app.test_client().post(
        URL, data=body(CREATED), content_type="application/json", headers=RIGHT
    )

    assert response.status_code == 204
    assert received.events == ["uuid-0"]


def test_the_body_of_a_stranger_is_read_but_not_parsed(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    hear: Callable[[NamedSignal], Heard],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a wrong secret no receiver runs, and nothing of the body is kept or logged."""
    caplog.set_level(logging.DEBUG)
    refused = hear(signals.delivery_refused)
    received = okta.on("*")(Heard())
    stream = io.BytesIO(body({"eventType": CREATED, "displayMessage": "personal"}))

    response = (
        make_app(okta)
        .test_client()
        .post(URL, input_stream=stream, headers={"Authorization": "wrong"})
    )

    assert_problem(response, 401)
    assert stream.read() == b""
    assert received.arguments == []
    assert "personal" not in caplog.text + repr(refused.arguments) + response.text


def at_default(app: Flask, okta: EventHook) -> str:
    app.register_blueprint(okta)
    return "/okta/events"


def at_another_prefix(app: Flask, okta: EventHook) -> str:
    app.register_blueprint(okta, url_prefix="/hooks/okta")
    return "/hooks/okta"


def at_a_prefix_with_a_slash(app: Flask, okta: EventHook) -> str:
    app.register_blueprint(okta, url_prefix="/hooks/okta/")
    return "/hooks/okta"


def at_the_root(app: Flask, okta: EventHook) -> str:
    app.register_blueprint(okta, url_prefix="/")
    return ""


def nested_once(app: Flask, okta: EventHook) -> str:
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    outer.register_blueprint(okta)
    app.register_blueprint(outer)
    return "/outer/okta/events"


def nested_twice(app: Flask, okta: EventHook) -> str:
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner.register_blueprint(okta, url_prefix="/here")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return "/outer/inner/here"


MOUNTS = [
    at_default,
    at_another_prefix,
    at_a_prefix_with_a_slash,
    at_the_root,
    nested_once,
    nested_twice,
]


@pytest.mark.parametrize("slash", ["", "/"], ids=["without slash", "with slash"])
@pytest.mark.parametrize("mount", MOUNTS, ids=lambda mount: mount.__name__)
def test_every_prefix_answers_with_and_without_a_slash(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    mount: Callable[[Flask, EventHook], str],
    slash: str,
) -> None:
    """Wherever the hook is registered, both forms of its URL work without a redirect."""
    app = make_app()
    url = mount(app, okta) + slash

    assert verify(app, url).json == {"verification": "3f29"}
    assert post(app, body(CREATED), url=url).status_code == 204


def test_the_prefix_of_the_constructor(make_app: AppFactory, body: BodyFactory) -> None:
    """``url_prefix`` of the hook is where it answers."""
    app = make_app(EventHook("okta", url_prefix="/here"))

    assert post(app, body(), url="/here").status_code == 204
    assert post(app, body()).status_code == 404


@pytest.mark.parametrize("mount", [at_default, nested_once, nested_twice])
def test_the_hook_keeps_its_name_wherever_it_is_nested(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    mount: Callable[[Flask, EventHook], str],
) -> None:
    """A mapping of secrets is looked up by the constructor's name, not by the dotted one."""
    app = make_app(SECRET={"okta": "one", "other": "two"})
    url = mount(app, okta)

    assert post(app, body(), secret="one", url=url).status_code == 204
    assert post(app, body(), secret="two", url=url).status_code == 401


def test_one_hook_in_several_apps(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """Each app has its own configuration, and receivers get the app that received the event."""
    heard = okta.on(CREATED)(Heard())
    one, two = make_app(okta, SECRET="one"), make_app(okta, SECRET="two")

    assert post(one, body(CREATED), secret="two").status_code == 401
    assert post(two, body(CREATED), secret="two").status_code == 204
    assert post(one, body(CREATED), secret="one").status_code == 204
    assert heard.senders == [two, one]
    assert {type(sender) for sender in heard.senders} == {Flask}


def test_several_hooks_in_one_app(make_app: AppFactory, body: BodyFactory) -> None:
    """Each hook of an app has its own URL, receivers and, in a mapping, secrets."""
    staff, customers = EventHook("staff", url_prefix="/a"), EventHook("customers", url_prefix="/b")
    heard = staff.on(CREATED)(customers.on(CREATED)(Heard()))
    app = make_app(staff, customers, SECRET={"staff": "one", "customers": ["two", "three"]})

    answers = {
        (url, secret): post(app, body(CREATED), secret, url).status_code
        for url in ("/a", "/b")
        for secret in ("one", "two", "three")
    }

    assert [key for key, status in answers.items() if status == 204] == [
        ("/a", "one"),
        ("/b", "two"),
        ("/b", "three"),
    ]
    assert set(answers.values()) == {204, 401}
    assert [call["hook"] for call in heard.arguments] == [staff, customers, customers]


def twice_plainly(app: Flask, second: EventHook) -> None:
    app.register_blueprint(second)


def twice_under_another_blueprint_name(app: Flask, second: EventHook) -> None:
    app.register_blueprint(second, name="second")


def twice_nested(app: Flask, second: EventHook) -> None:
    outer = Blueprint("outer", __name__)
    outer.register_blueprint(second)
    app.register_blueprint(outer)


@pytest.mark.parametrize("again", [twice_plainly, twice_under_another_blueprint_name, twice_nested])
def test_a_second_hook_of_the_same_name_is_refused(
    make_app: AppFactory, okta: EventHook, again: Callable[[Flask, EventHook], None]
) -> None:
    """However it is registered: the two would share secrets and whatever is stored by name."""
    app = make_app(okta)

    with pytest.raises(RuntimeError, match=r"already has a hook named 'okta'.*EventHook\(name\)"):
        again(app, EventHook("okta", url_prefix="/second"))


def test_the_same_hook_at_two_urls(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """The same object is no second hook: it may answer under two prefixes."""
    app = make_app(okta)
    app.register_blueprint(okta, name="moved", url_prefix="/moved")

    assert post(app, body(), url="/moved").status_code == 204
    assert post(app, body()).status_code == 204


def test_registration_without_a_secret_is_refused(make_app: AppFactory, okta: EventHook) -> None:
    """An app does not start without a secret, and the hook is not registered by halves."""
    app = make_app()
    del app.config["OKTA_HOOKS_SECRET"]

    with pytest.raises(RuntimeError, match="OKTA_HOOKS_SECRET is not set"):
        app.register_blueprint(okta)

    assert "okta" not in app.blueprints
    assert post(app).status_code == 404


@pytest.mark.parametrize("mount", [at_default, nested_twice])
def test_csrf_protection_of_flask_wtf(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    mount: Callable[[Flask, EventHook], str],
) -> None:
    """Beside Flask-WTF's protection, which refuses Okta's deliveries, ``exempt`` lets them through."""
    answers = []
    for exempt in (False, True):
        app = make_app()
        app.secret_key = "for sessions"
        csrf = CSRFProtect(app)
        if exempt:
            csrf.exempt(okta)
        answers.append(post(app, body(CREATED), url=mount(app, okta)))

    assert [answer.status_code for answer in answers] == [400, 204]
    assert "CSRF" in answers[0].text


def test_configuration_is_read_once(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """What changes in ``app.config`` after the first hook's registration changes nothing."""
    app = make_app(okta, MAX_BODY=SMALL)
    app.config.update(
        OKTA_HOOKS_SECRET="another",
        OKTA_HOOKS_AUTH_HEADER="X-Another",
        OKTA_HOOKS_MAX_BODY=10,
    )
    app.register_blueprint(EventHook("late", url_prefix="/late"))

    for url in (URL, "/late"):
        assert post(app, body(), url=url).status_code == 204
        assert post(app, body(), secret="another", url=url).status_code == 401


@pytest.mark.parametrize(
    ("variables", "accepted"),
    [
        ({"SECRET": "correct horse"}, ["correct horse"]),
        ({"SECRET": '"correct horse"'}, ["correct horse"]),
        ({"SECRET": "'correct horse'"}, ["'correct horse'"]),
        ({"SECRET": "0042"}, ["0042"]),
        ({"SECRET": "42"}, ["42"]),
        ({"SECRET": '"42"'}, ["42"]),
        ({"SECRET": '["new", 42]'}, ["new", "42"]),
        ({"SECRET": '{"okta": ["new", "old"]}'}, ["new", "old"]),
        ({"SECRET__okta": "nested"}, ["nested"]),
    ],
    ids=str,
)
def test_secrets_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    okta: EventHook,
    body: BodyFactory,
    variables: dict[str, str],
    accepted: list[str],
) -> None:
    """``from_prefixed_env`` reads JSON where it can; the secret is what a person would say it is."""
    for key, value in variables.items():
        monkeypatch.setenv(f"FLASK_OKTA_HOOKS_{key}", value)
    monkeypatch.setenv("FLASK_OKTA_HOOKS_INBOX", "null")
    app = Flask("host")
    app.config.from_prefixed_env()
    app.register_blueprint(okta)

    for secret in accepted:
        assert post(app, body(), secret=secret).status_code == 204
    assert post(app, body(), secret="another").status_code == 401


def test_another_header(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """The secret counts in the configured header only, however that is spelt on the wire."""
    app = make_app(okta, AUTH_HEADER="X-Okta-Secret")
    client = app.test_client()

    for name in ("X-Okta-Secret", "x-okta-secret"):
        assert client.post(URL, data=body(), headers={name: SECRET}).status_code == 204
    refused = client.post(URL, data=body(), headers=RIGHT)
    assert_problem(refused, 401)
    assert "X-Okta-Secret" in refused.json["detail"]  # type: ignore[index]
    assert verify(app, **{"X-Okta-Secret": "wrong"}).status_code == 401
    assert verify(app, Authorization="not for us").status_code == 200


def test_rotation(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """While the secret changes, every one that is listed is right, and nothing else."""
    app = make_app(okta, SECRET=["new", "old"])

    assert post(app, body(), secret="new").status_code == 204
    assert post(app, body(), secret="old").status_code == 204
    assert verify(app, Authorization="old").status_code == 200
    for wrong in ("older", "ne", "new, old", "newold"):
        assert post(app, body(), secret=wrong).status_code == 401


def test_the_inbox_learns_which_secret_it_was(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, tmp_path: Path
) -> None:
    """With a delivery goes the place of its secret in the list, and which list that was."""
    app = make_app(okta, SECRET=["new", "old"], INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True

    assert post(app, body(CREATED), secret="old").status_code == 204

    state = app.extensions["okta_hooks"]
    assert list(state.runtime().inbox.secret_use("okta", protocol.tag_of(["new", "old"]))) == [1]
    for other in (["old", "new"], ["newer", "new"], ["old"]):
        assert state.runtime().inbox.secret_use("okta", protocol.tag_of(other)) == {}
    state.close()


def test_basic_authentication_is_a_plain_value(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """``Basic ...`` is compared as it stands: another spelling of the same password is another secret."""
    encoded = base64.b64encode(b"okta:pass").decode()
    app = make_app(okta, SECRET=f"Basic {encoded}")

    assert post(app, body(), secret=f"Basic {encoded}").status_code == 204
    assert post(app, body(), secret=f"basic {encoded}").status_code == 401
    assert app.test_client().post(URL, data=body(), auth=("okta", "pass")).status_code == 204


@pytest.mark.parametrize(
    "secret",
    ["^&*$ !", "a,b;c=d", '"quoted"', "back\\slash", "two  blanks", "Bearer x", "%41", "x" * 4000],
    ids=lambda secret: secret[:12],
)
def test_odd_characters_in_a_secret(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, secret: str
) -> None:
    """A secret is compared as it is, whatever a header's parser would make of it."""
    app = make_app(okta, SECRET=secret)

    assert post(app, body(), secret=secret).status_code == 204
    assert post(app, body(), secret=secret + "x").status_code == 401
    assert post(app, body(), secret=secret[:-1]).status_code == 401


@pytest.mark.parametrize(
    ("secret", "encoding"),
    [
        ("pässwörd", "utf-8"),
        ("pässwörd", "latin-1"),
        ("日本語", "utf-8"),
        ("Straße 🔑", "utf-8"),
    ],
)
def test_other_than_ascii_characters_in_a_secret(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, secret: str, encoding: str
) -> None:
    """UTF-8 and Latin-1 bytes on the wire, which WSGI hands over as Latin-1, are both the secret."""
    app = make_app(okta, SECRET=secret)
    on_the_wire = secret.encode(encoding).decode("latin-1")

    assert post(app, body(), secret=on_the_wire).status_code == 204
    assert post(app, body(), secret=on_the_wire[:-1]).status_code == 401


def test_a_test_client_may_send_a_secret_as_it_is_configured(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Flask's test client puts text into the environment that no server would; it is not refused."""
    app = make_app(okta, SECRET="日本語")

    assert post(app, body(), secret="日本語").status_code == 204
    assert post(app, body(), secret="日本酒").status_code == 401


def test_without_authentication_if_asked_for(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """An app that is told to run without a secret takes deliveries from anybody."""
    app = make_app(okta, SECRET=None, ALLOW_UNAUTHENTICATED=True)

    assert app.test_client().post(URL, data=body()).status_code == 204
    assert verify(app, Authorization="anything").status_code == 200


class Clock:
    """Stands in for the module ``time``, so that a minute passes at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time that the test has set, in seconds."""
        return self.now


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("okta_hooks.")
    ]


def test_refusals_are_logged_once_a_minute_with_their_count(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stranger cannot fill the log: the next warning, a minute later, counts what came between."""
    clock = Clock()
    monkeypatch.setattr(blueprint, "time", clock)
    app = make_app(okta)

    for _ in range(3):
        post(app, body(), secret="wrong")
    verify(app, Authorization="wrong")
    clock.now += 59.9
    post(app, body(), secret="wrong")
    assert [message.split(maxsplit=1)[0] for message in warnings_of(caplog)] == ["1"]

    clock.now += 0.1
    post(app, body(), secret="wrong")
    assert [message.split(maxsplit=1)[0] for message in warnings_of(caplog)] == ["1", "5"]
    assert "'okta'" in warnings_of(caplog)[1]
    assert "Authorization" in warnings_of(caplog)[1]


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        ("Bearer " + SECRET, "longer than the secret: a scheme in front of it"),
        (SECRET[:-1], "shorter than the secret"),
        (SECRET.upper(), "as long as a secret can be"),
        (None, "no such header"),
    ],
    ids=["longer", "shorter", "as long", "absent"],
)
def test_the_hint_tells_lengths_only(
    make_app: AppFactory,
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
    presented: str | None,
    expected: str,
) -> None:
    """The log says what may be wrong; neither secret stands in it, nor in the answer."""
    caplog.set_level(logging.DEBUG)
    app = make_app(okta)
    headers = {} if presented is None else {"Authorization": presented}

    response = app.test_client().post(URL, headers=headers)

    (message,) = warnings_of(caplog)
    assert expected in message
    for shown in (caplog.text, response.text, repr([vars(r) for r in caplog.records])):
        assert SECRET not in shown
        assert presented is None or presented not in shown


def test_hook_verified(
    make_app: AppFactory, okta: EventHook, hear: Callable[[NamedSignal], Heard]
) -> None:
    """``hook_verified`` is sent when a challenge was answered, and only then."""
    heard = hear(signals.hook_verified)
    app = make_app(okta)

    verify(app, Authorization="wrong")
    app.test_client().get(URL)
    assert heard.arguments == []
    verify(app)
    assert heard.arguments == [{"hook": okta}]
    assert heard.senders == [app]
    assert type(heard.senders[0]) is Flask


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("POST, wrong secret", "wrong secret"),
        ("POST, too large", "OKTA_HOOKS_MAX_BODY, 2000 bytes"),
        ("POST, not JSON", "not JSON"),
        ("POST, no data", "no list at data.events"),
        ("POST, broken off", "broke off"),
        ("POST, shorter than said", "broke off"),
    ],
)
def test_delivery_refused(
    host: Flask, hear: Callable[[NamedSignal], Heard], name: str, reason: str
) -> None:
    """``delivery_refused`` tells the status that Okta got, and why."""
    heard = hear(signals.delivery_refused)

    response = ask(host, ROWS[name])

    (arguments,) = heard.arguments
    assert reason in arguments.pop("reason")
    assert arguments == {"hook": host.blueprints["okta"], "status": response.status_code}
    assert heard.senders == [host]


def test_delivery_refused_is_about_deliveries(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Heard]
) -> None:
    """A refused verification and an accepted delivery are no refused delivery."""
    heard = hear(signals.delivery_refused)
    app = make_app(okta)

    verify(app, Authorization="wrong")
    post(app, body(CREATED))

    assert heard.arguments == []


def test_event_done(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Heard]
) -> None:
    """``event_done`` is sent for each event whose receivers have all finished."""

    @okta.on(CREATED)
    def fails_once(sender: Flask, event: Any, **extra: Any) -> None:
        if event.uuid == "uuid-1":
            raise LookupError

    done = hear(signals.event_done)
    app = make_app(okta)

    post(app, body(CREATED, CREATED, DEACTIVATED))

    assert done.events == ["uuid-0", "uuid-2"]
    assert {arguments["hook"] for arguments in done.arguments} == {okta}
    assert {arguments["delivery"].event_id for arguments in done.arguments} == {"delivery-1"}
    assert done.senders == [app, app]


def test_receiver_failed(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Heard]
) -> None:
    """``receiver_failed`` names the receiver and carries the event and the error."""
    error = LookupError("no such user")

    @okta.on(CREATED, name="clerk")
    def fails(sender: Flask, **extra: Any) -> None:
        raise error

    failed = hear(signals.receiver_failed)
    app = make_app(okta)

    post(app, body(CREATED))

    (arguments,) = failed.arguments
    assert arguments["event"].uuid == "uuid-0"
    assert arguments["delivery"].via == "hook"
    assert (arguments["hook"], arguments["receiver"]) == (okta, "clerk")
    assert (arguments["attempt"], arguments["error"]) == (1, error)
    assert failed.senders == [app]


def test_event_dead_for_an_unreadable_event(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    hear: Callable[[NamedSignal], Heard],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One unreadable event among good ones is announced and logged; the others go their way."""
    received = okta.on("*")(Heard())
    dead = hear(signals.event_dead)
    app = make_app(okta)

    response = post(app, body(CREATED, {"uuid": "personal"}, DEACTIVATED))

    assert response.status_code == 204
    assert received.events == ["uuid-0", "uuid-2"]
    (arguments,) = dead.arguments
    assert arguments["hook"] is okta
    assert arguments["delivery"].event_id == "delivery-1"
    assert (arguments["event"], arguments["receiver"]) == (None, None)
    assert "no eventType" in arguments["reason"]
    assert dead.senders == [app]
    (message,) = warnings_of(caplog)
    assert "no eventType" in message
    assert "personal" not in message


def test_event_dead_for_a_rejected_event(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Heard]
) -> None:
    """``Reject`` makes a dead letter of that receiver's: no failure, so Okta gets its 204."""

    @okta.on(CREATED, name="clerk")
    def rejects(sender: Flask, **extra: Any) -> None:
        raise Reject("not one of ours")

    dead, done = hear(signals.event_dead), hear(signals.event_done)

    response = post(make_app(okta), body(CREATED))

    assert response.status_code == 204
    (arguments,) = dead.arguments
    assert arguments["event"].uuid == "uuid-0"
    assert (arguments["receiver"], arguments["reason"]) == ("clerk", "not one of ours")
    assert done.arguments == []


@pytest.mark.parametrize("name", ["hook_verified", "delivery_refused", "event_done"])
def test_a_failing_listener_changes_no_answer(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """An error of whoever listens to the service is logged; Okta gets the same answer."""
    app = make_app(okta)

    def broken(sender: Flask, **extra: Any) -> None:
        raise LookupError("broken listener")

    with getattr(signals, name).connected_to(broken):
        answers = [verify(app), post(app, body(CREATED)), post(app, b"{}")]

    assert [answer.status_code for answer in answers] == [200, 204, 400]
    assert "broken listener" in caplog.text


def test_every_event_of_a_delivery_is_dispatched(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Of a hundred events of one type in one delivery, a hundred are dispatched, in their order."""
    received = okta.on(CREATED)(Heard())

    response = post(make_app(okta), body(*[CREATED] * 100))

    assert response.status_code == 204
    assert received.events == [f"uuid-{number}" for number in range(100)]


def test_what_a_receiver_gets(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """A receiver gets the app itself, the event, its delivery, the hook and the attempt."""
    received = okta.on(DEACTIVATED)(Heard())
    app = make_app(okta)
    targets = [{"type": "User", "id": "00u1"}]
    event = {"eventType": DEACTIVATED, "uuid": "u1", "target": targets, "moon": 10**40}
    post(app, body(event))

    (arguments,) = received.arguments
    assert received.senders[0] is app
    assert set(arguments) == {"event", "delivery", "hook", "attempt"}
    assert arguments["event"].uuid == "u1"
    assert arguments["event"].target_of("User").id == "00u1"
    assert arguments["event"].raw == event
    assert arguments["delivery"].event_id == "delivery-1"
    assert arguments["delivery"].source == "https://example.okta.com/api/v1/eventHooks/who1"
    assert arguments["delivery"].via == "hook"
    assert arguments["delivery"].received_at.tzinfo is not None
    assert (arguments["hook"], arguments["attempt"]) == (okta, 1)


def test_the_preview_of_the_admin_console(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Okta's sample, in which ``actor``, ``target`` and more are null, crashes nothing."""
    seen = []

    @okta.on(DEACTIVATED)
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append((event.targets_of("User"), event.target_of("User"), event.changed_attributes))

    nothing = dict.fromkeys(("actor", "target", "debugContext", "outcome", "client"))
    sample = {"eventType": DEACTIVATED, "uuid": "u1", **nothing}

    assert post(make_app(okta), body(sample)).status_code == 204
    assert seen == [((), None, ())]


def test_the_middle_one_of_three_receivers_fails(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The others run, Okta gets a 500, and the error stands in the log with its traceback."""
    first = okta.on(CREATED)(Heard())

    @okta.on(CREATED)
    def second(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    third = okta.on(CREATED)(Heard())

    response = post(make_app(okta), body(CREATED))

    assert_problem(response, 500)
    assert "no such user" not in response.text
    assert first.events == third.events == ["uuid-0"]
    assert "LookupError: no such user" in caplog.text


def test_failures_are_logged_as_one_group(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Two receivers that fail for two events are four errors in one ``ExceptionGroup``."""

    @okta.on(CREATED)
    def one(sender: Flask, event: Any, **extra: Any) -> None:
        raise LookupError(f"one {event.uuid}")

    @okta.on(CREATED)
    async def other(sender: Flask, event: Any, **extra: Any) -> None:
        raise ValueError(f"other {event.uuid}")

    assert post(make_app(okta), body(CREATED, CREATED)).status_code == 500

    (record,) = (record for record in caplog.records if record.name == LOGGER)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    group = record.exc_info[1]
    assert isinstance(group, ExceptionGroup)
    assert [str(error) for error in group.exceptions] == [
        "one uuid-0",
        "other uuid-0",
        "one uuid-1",
        "other uuid-1",
    ]


def test_failures_are_raised_while_testing(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Under ``app.testing`` the group reaches the test that made the request, after all have run."""

    @okta.on(CREATED)
    def fails(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    ran = okta.on(CREATED)(Heard())
    app = make_app(okta)
    app.testing = True

    with pytest.raises(ExceptionGroup) as raised:
        post(app, body(CREATED))

    assert [str(error) for error in raised.value.exceptions] == ["no such user"]
    assert ran.events == ["uuid-0"]


def test_a_request_that_stores_nothing_opens_nothing_while_testing(
    make_app: AppFactory, okta: EventHook, tmp_path: Path
) -> None:
    """Under ``app.testing`` no thread opens the inbox behind the back of a test that is about to close it."""
    file = tmp_path / "inbox.sqlite3"
    app = make_app(okta, INBOX=f"sqlite:///{file}")
    app.testing = True
    before = set(threading.enumerate())

    assert app.test_client().get(URL, headers=CHALLENGE).status_code == 200

    assert set(threading.enumerate()) <= before
    assert not file.exists()


@pytest.fixture
def storing(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app that stores what it gets, and under ``app.testing`` hands nothing on by itself."""
    app = make_app(okta, INBOX=inbox_url)
    app.testing = True
    yield app
    app.extensions["okta_hooks"].runtime().inbox.close()


def stored(app: Flask) -> dict[str, int]:
    """Return how many events are in the states that have any."""
    counts = app.extensions["okta_hooks"].runtime().inbox.counts()
    counts.pop("oldest_pending_seconds")
    return {state: number for state, number in counts.items() if number}


def test_204_means_stored(
    storing: Flask,
    okta: EventHook,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Heard],
) -> None:
    """The answer comes after the commit: another connection has the events, and no receiver has run."""
    caplog.set_level(logging.INFO)
    heard = hear(signals.delivery_stored)
    received = okta.on("*")(Heard())

    response = post(storing, body(CREATED, DEACTIVATED))

    assert (response.status, response.data) == ("204 NO CONTENT", b"")
    assert stored(storing) == {"pending": 2}
    assert "A delivery to the hook 'okta': 2 new, 0 duplicate." in caplog.text
    (arguments,) = heard.arguments
    assert arguments.pop("delivery").event_id == "delivery-1"
    assert arguments == {"hook": okta, "new": 2, "duplicate": 0}
    assert heard.senders == [storing]
    assert received.arguments == []


def test_duplicates_are_acknowledged(
    storing: Flask,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Heard],
) -> None:
    """What Okta sends again gets its 204 again, and is counted instead of stored."""
    caplog.set_level(logging.INFO)
    heard = hear(signals.delivery_stored)

    answers = [post(storing, body(*types)).status_code for types in ([CREATED], [CREATED] * 2)]
    answers.append(post(storing, body(CREATED)).status_code)

    assert answers == [204] * 3
    assert stored(storing) == {"pending": 2}
    counted = [(arguments["new"], arguments["duplicate"]) for arguments in heard.arguments]
    assert counted == [(1, 0), (1, 1), (0, 1)]
    assert "0 new, 1 duplicate" in caplog.text


def test_an_unreadable_event_is_stored_dead(
    storing: Flask,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Heard],
) -> None:
    """It is announced once, when it is stored; as a duplicate it is not."""
    dead = hear(signals.event_dead)

    answers = [post(storing, body(CREATED, {"uuid": "personal"})).status_code for _ in range(2)]

    assert answers == [204] * 2
    assert stored(storing) == {"pending": 1, "dead": 1}
    (arguments,) = dead.arguments
    assert (arguments["event"], arguments["receiver"]) == (None, None)
    assert "no eventType" in arguments["reason"]
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "no eventType" in record.getMessage()
    assert "personal" not in caplog.text


def test_a_refused_delivery_is_not_stored(storing: Flask, body: BodyFactory) -> None:
    """Neither a stranger's nor one without events."""
    assert post(storing, body(CREATED), secret="wrong").status_code == 401
    assert post(storing, b"{}").status_code == 400
    assert post(storing, body()).status_code == 204

    assert stored(storing) == {}


def test_503_when_the_inbox_does_not_commit(
    storing: Flask,
    body: BodyFactory,
    engine: sa.Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    hear: Callable[[NamedSignal], Heard],
) -> None:
    """A database that somebody holds makes Okta send the delivery again; then it is stored."""
    heard = hear(signals.delivery_refused)
    assert blueprint._SECONDS_TO_STORE == 2.0  # noqa: SLF001 - Okta waits 3
    monkeypatch.setattr(blueprint, "_SECONDS_TO_STORE", 0.2)
    storing.extensions["okta_hooks"].runtime().inbox.open()
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        is_sqlite = engine.dialect.name == "sqlite"
        driver.execute("BEGIN IMMEDIATE" if is_sqlite else "LOCK TABLE okta_hooks_delivery")
        refused = post(storing, body(CREATED))
        driver.rollback()

    assert_problem(refused, 503)
    assert [arguments["status"] for arguments in heard.arguments] == [503]
    assert "A delivery to the hook 'okta' was not stored" in caplog.text
    monkeypatch.undo()
    assert post(storing, body(CREATED, DEACTIVATED)).status_code == 204
    assert stored(storing) == {"pending": 2}


def test_the_place_of_the_secret_is_stored(
    storing: Flask, body: BodyFactory, engine: sa.Engine, make_app: AppFactory, inbox_url: str
) -> None:
    """During a rotation the inbox knows by which secret each delivery came."""
    rotating = make_app(EventHook("okta"), INBOX=inbox_url, SECRET=["new", "old"])
    rotating.testing = True

    for number, secret in enumerate(("old", "new")):
        event = {"uuid": str(number), "eventType": CREATED}
        assert post(rotating, body(event), secret=secret).status_code == 204
    rotating.extensions["okta_hooks"].runtime().inbox.close()

    with engine.connect() as connection:
        query = sa.text("SELECT secret FROM okta_hooks_delivery ORDER BY id")
        assert connection.scalars(query).all() == [1, 0]

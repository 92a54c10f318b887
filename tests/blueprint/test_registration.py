from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Blueprint, Flask
from flask_wtf import CSRFProtect

from okta_hooks import EventHook
from okta_hooks.cli import group
from tests.support import Calls

from .support import CREATED, SMALL, URL, post, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


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
    heard = okta.on(CREATED)(Calls())
    one, two = make_app(okta, SECRET="one"), make_app(okta, SECRET="two")

    assert post(one, body(CREATED), secret="two").status_code == 401
    assert post(two, body(CREATED), secret="two").status_code == 204
    assert post(one, body(CREATED), secret="one").status_code == 204
    assert heard.senders == [two, one]
    assert {type(sender) for sender in heard.senders} == {Flask}


def test_several_hooks_in_one_app(make_app: AppFactory, body: BodyFactory) -> None:
    """Each hook of an app has its own URL, receivers and, in a mapping, secrets."""
    staff, customers = EventHook("staff", url_prefix="/a"), EventHook("customers", url_prefix="/b")
    heard = staff.on(CREATED)(customers.on(CREATED)(Calls()))
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
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """What changes in ``app.config`` after the first hook's registration changes nothing, which is told once."""
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

    told = [message for message in caplog.messages if "changed after" in message]
    (only,) = told
    assert only.startswith("OKTA_HOOKS_AUTH_HEADER, OKTA_HOOKS_MAX_BODY, OKTA_HOOKS_SECRET changed")
    assert "configure the app before app.register_blueprint(...)" in only


def test_configuration_that_is_changed_in_place(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that gets another secret is told of, too; until then nothing keeps the secrets in plain text."""
    app = make_app(okta, SECRET=["first"])
    assert "first" not in repr(vars(app.extensions["okta_hooks"]))
    app.config["OKTA_HOOKS_SECRET"].append("second")

    assert post(app, body(), secret="second").status_code == 401

    assert any(text.startswith("OKTA_HOOKS_SECRET changed") for text in caplog.messages)


def test_a_command_tells_of_what_was_set_too_late(
    make_app: AppFactory, okta: EventHook, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no request, and would look at another inbox than the one that is configured."""
    app = make_app(okta)
    app.config["OKTA_HOOKS_INBOX"] = "sqlite:///another.sqlite3"

    app.test_cli_runner().invoke(group, ["receivers"])

    assert any(text.startswith("OKTA_HOOKS_INBOX changed") for text in caplog.messages)


def test_configuration_that_stays_is_not_told_of(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys of others may come and go."""
    app = make_app(okta)
    app.config["SECRET_KEY"] = "another"

    assert post(app, body()).status_code == 204

    assert "changed after" not in caplog.text


@pytest.mark.parametrize("slash", ["", "/"], ids=["without slash", "with slash"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods(make_app: AppFactory, okta: EventHook, method: str, slash: str) -> None:
    """The hook is there, and does not take them: 405 at either form of its URL, with what it takes."""
    answer = make_app(okta).test_client().open(URL + slash, method=method)

    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.allow)

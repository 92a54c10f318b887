from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from okta_hooks.secret import Secret
from okta_hooks.wire import protocol

from .support import CREATED, RIGHT, SECRET, URL, assert_problem, post, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks import EventHook

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


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
    """With a delivery goes the position of its secret in the list, and which list that was."""
    app = make_app(okta, SECRET=["new", "old"], INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True

    assert post(app, body(CREATED), secret="old").status_code == 204

    state = app.extensions["okta_hooks"]
    assert list(
        state.runtime().inbox.hours.secret_use(
            "okta", protocol.tag_of([Secret("new"), Secret("old")])
        )
    ) == [1]
    for other in (["old", "new"], ["newer", "new"], ["old"]):
        assert (
            state.runtime().inbox.hours.secret_use(
                "okta", protocol.tag_of([Secret(each) for each in other])
            )
            == {}
        )
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

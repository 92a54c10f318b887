"""What a report holds of an app that cannot start."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from okta_hooks import ConfigurationError, EventHook

from .support import HUSH, leaks_of_error, reporting

SECRET = f"{HUSH}1"
PASSWORD = f"app:{HUSH}2@db"
WRONG: dict[str, dict[str, Any]] = {
    "secret with a line break": {"SECRET": f"{SECRET}\n"},
    "secret with a blank at its end": {"SECRET": [SECRET, f"{SECRET} "]},
    "secret with a lone surrogate": {"SECRET": f"{SECRET}\udc80"},
    "secret in an object": {"SECRET": {"okta": {"value": SECRET}}},
    "secret in bytes": {"SECRET": SECRET.encode()},
    "secret of another hook": {"SECRET": {"other": SECRET}},
    "secret where the header should be": {"AUTH_HEADER": f"{SECRET}_"},
    "secret where a switch should be": {"ALLOW_UNAUTHENTICATED": SECRET},
    "secret where the worker should be": {"WORKER": SECRET},
    "secret where a number should be": {"MAX_BODY": SECRET},
    "secret where days should be": {"RETENTION": SECRET},
    "secret where the URL should be": {"URL": SECRET},
    "secret where the inbox should be": {"INBOX": SECRET},
    "a token in a list": {"API_TOKEN": [SECRET]},
    "an inbox of another kind": {"INBOX": f"mysql://{PASSWORD}/app"},
    "an inbox of another name": {"INBOX": f"postgres://{PASSWORD}/app"},
    "an inbox with two slashes": {"INBOX": f"sqlite://{PASSWORD}.sqlite3"},
    "an inbox with options": {"INBOX": f"sqlite:////dev/null/x.sqlite3?key={SECRET}"},
    "an inbox with a line break": {"INBOX": f"postgresql://{PASSWORD}/app\n"},
    "an inbox with a port that is none": {"INBOX": f"postgresql://{PASSWORD}:{SECRET}/app"},
    "a URL with a password": {"URL": f"ftp://{PASSWORD}/okta"},
}


@pytest.mark.parametrize("config", WRONG.values(), ids=WRONG)
def test_a_wrong_configuration(config: dict[str, Any], okta: EventHook) -> None:
    """Neither the error nor a frame has the secret, the token or the password, whatever key they stand under."""
    app = Flask("host")
    given = {
        "SECRET": SECRET,
        "API_TOKEN": f"{HUSH}3",
        "INBOX": f"postgresql://{PASSWORD}/app",
        "URL": f"https://{PASSWORD}/okta",
    }
    for key, value in {**given, **config}.items():
        app.config[f"OKTA_HOOKS_{key}"] = value

    with pytest.raises(ConfigurationError) as caught:
        app.register_blueprint(okta)

    assert list(leaks_of_error(caught.value)) == []


def test_what_is_logged_of_a_configuration(okta: EventHook) -> None:
    """A key that nothing reads, and one that was set too late, are told of without values."""
    app = Flask("host")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None, OKTA_HOOKS_SECRETS=SECRET)
    with reporting() as reporter:
        app.register_blueprint(okta)
        app.config["OKTA_HOOKS_SECRET"] = f"{HUSH}late"
        app.test_client().get("/")

    assert len(reporter.messages) == 2
    assert reporter.leaks == []

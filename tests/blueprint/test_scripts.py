"""An app that is made by the script that was started, which Python knows as ``__main__``."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = Callable[..., str]

APP = """
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")
app = Flask(__name__)
app.config.update(OKTA_HOOKS_SECRET="correct horse", OKTA_HOOKS_INBOX={inbox!r}, OKTA_HOOKS_WORKER={worker!r})
app.register_blueprint(okta)
{receivers}
if __name__ == "__main__":
    for _ in range(30):  # the first request imports what a busy machine may take long for
        answer = app.test_client().post(
            "/okta/events",
            json={{"data": {{"events": [{{"uuid": "1", "eventType": "user.session.start"}}]}}}},
            headers={{"Authorization": "correct horse"}},
        )
        if answer.status_code == 204:
            break
    assert answer.status_code == 204, answer.text
    app.extensions["okta_hooks"].close()
"""
OWN = """
@okta.on("*")
def own(sender, **extra):
    pass
"""
OTHERS = """
from app import okta

@okta.on("*")
def others(sender, **extra):
    pass
"""


@pytest.fixture
def said(tmp_path: Path) -> Said:
    """Return a function that runs an app as a script, and returns what it logs."""

    def run(
        receivers: str,
        *,
        start: tuple[str, ...] = ("app.py",),
        worker: str = "thread",
        has_inbox: bool = True,
        source: str = APP,
        is_link: bool = False,
    ) -> str:
        inbox = f"sqlite:///{tmp_path}/inbox.sqlite3" if has_inbox else None
        script = source.format(inbox=inbox, worker=worker, receivers=receivers)
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        for place in (tmp_path, folder):
            file = place / ("release.py" if is_link else "app.py")
            file.write_text(script, encoding="utf-8")
            if is_link:
                (place / "app.py").symlink_to(file)
            (place / "receivers.py").write_text(OTHERS, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *start], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


@pytest.mark.parametrize(
    ("start", "name"),
    [(("app.py",), "app"), (("-m", "shop.app"), "shop.app"), (("shop/app.py",), "shop.app")],
    ids=["script", "module", "script in a package"],
)
def test_names_that_no_other_process_knows(said: Said, start: tuple[str, ...], name: str) -> None:
    """The receivers of the script are told of, with a name that every process knows."""
    line = said(OWN, start=start)

    assert "named after the script that was started: __main__:own." in line
    assert f"@okta.on(..., name='{name}:own')" in line


@pytest.mark.parametrize(
    ("receivers", "options"),
    [
        (OWN.replace('"*"', '"*", name="app:own"'), {}),
        (OWN.replace('"*"', '"*", name="__main__:own"'), {}),
        (OWN, {"worker": "external"}),
        (OWN, {"has_inbox": False}),
        ("import json\nokta.on('*', name='a')(lambda sender, **extra: None)", {}),
    ],
    ids=["name", "the old name", "external worker", "no inbox", "elsewhere"],
)
def test_names_that_do_no_harm(said: Said, receivers: str, options: dict[str, str]) -> None:
    """Who has given a name, also the one that the inbox knows, or whose worker is another, reads nothing."""
    assert "script" not in said(receivers, **options)


def test_a_second_copy_of_a_link(said: Said) -> None:
    """The script may be a link to a file of another name, as the current one of several releases."""
    line = said("import receivers\n", is_link=True)

    assert "was imported once more, as 'app', and made a second hook 'okta'" in line


@pytest.mark.parametrize("has_inbox", [True, False])
@pytest.mark.parametrize("receivers", ["", OWN.replace('"*"', '"*", name="own"')])
def test_receivers_of_a_second_copy(said: Said, receivers: str, has_inbox: bool) -> None:
    """What another module connects to ``from app import okta`` is told of by name: it would never be called."""
    line = said(f"import receivers\n{receivers}", has_inbox=has_inbox)

    assert "was imported once more, as 'app', and made a second hook 'okta'" in line
    assert "what is connected to that, receivers:others. " in line
    assert ("no receiver is connected" in line) == (not receivers)


IN_A_CLASS = APP.replace(
    'okta = EventHook("okta")', 'class Parts:\n    okta = EventHook("okta")'
).replace("register_blueprint(okta)", "register_blueprint(Parts.okta)")
OF_A_CLASS = APP.replace(
    'okta = EventHook("okta")',
    "class Hook(EventHook):\n    def __init__(self, name):\n        super().__init__(name)\n\n"
    'parts = [Hook("okta")]',
).replace("register_blueprint(okta)", "register_blueprint(parts[0])")


@pytest.mark.parametrize(
    ("source", "hook"),
    [(IN_A_CLASS, "Parts.okta"), (OF_A_CLASS, "parts[0]")],
    ids=["class", "list"],
)
def test_a_second_copy_wherever_the_hook_stands(said: Said, source: str, hook: str) -> None:
    """The hook need not be a name of the script's itself, nor of this library's own class."""
    connect = f"import app\napp.{hook}.on('*', name='others')(lambda sender, **extra: None)\n"

    line = said(f"if __name__ == '__main__':\n    exec({connect!r}, {{}})", source=source)

    assert "made a second hook 'okta'" in line
    assert "what is connected to that, others. " in line


def test_a_second_copy_that_does_no_harm(said: Said) -> None:
    """If the script has all receivers itself, it does not matter who imports it again."""
    line = said(f"{OWN}\nimport app as copy")

    assert "once more" not in line
    assert "script" not in said(f"{OWN}\nimport app as copy", worker="external")

"""What cannot work is refused when the app starts, in words that name the key and the cure."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask
from werkzeug.routing import Rule

from okta_hooks import EventHook

from .support import CHALLENGE, NOBODY, RIGHT, URL, as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    AppFactory = Callable[..., Flask]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://x.db", "two slashes, .* sqlite:///okta_hooks.sqlite3"),
        ("sqlite://./x.db", "two slashes"),
        ("sqlite:///~/x.db", "begins with ~, .* Write the whole path, with four slashes"),
        ("postgres://app:hush@db/app", "begins with postgres://, .* write postgresql:// instead"),
        ("mysql://app:hush@db/app", "must be the URL of an SQLite file"),
        ("sqlite:///hush.db\n", "ends with a blank, a line break .* Strip it"),
        (" sqlite:///hush.db", "begins or ends with a blank"),
        ("postgresql://app:hush@db/app\x7f", "ends with a blank"),
        ("sqlite:///hush\0.db", "holds a NUL"),
        ("sqlite:////", "names a folder. Write the file, too: sqlite:////var"),
        ("sqlite:///hush/", "names a folder"),
        ("sqlite:////var/hush/..", "names a folder"),
        ("sqlite:///", "must be the URL of an SQLite file"),
        ("sqlite:///?hush", "an SQLite file takes no options: leave out what follows"),
        ("sqlite:///x.db?mode=hush", "takes no options"),
        ("postgresql://app:hu@db:hush/app", "no number where its port should be"),
        ("postgresql://app:hu@sh:hush@db/app", "port .* has an @, which is written %40 there"),
        ("postgresql://app:hush@db:/app", "no number where its port should be"),
        ("postgresql+psycopg://db:54x32/hush", "no number where its port should be"),
    ],
)
def test_an_inbox_that_is_written_wrongly(
    make_app: AppFactory, okta: EventHook, url: str, said: str
) -> None:
    """The error names the key and how it is written right, and shows no password."""
    with pytest.raises(RuntimeError, match=f"^OKTA_HOOKS_INBOX .*{said}") as caught:
        make_app(okta, INBOX=url)

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "url", "said"),
    [
        ("psycopg", "postgresql://host/name", r"pip install 'okta-hooks\[postgresql\]'"),
        ("fcntl", "sqlite:///x.db", "needs the file locks of a POSIX system. Here, use PostgreSQL"),
    ],
)
def test_an_inbox_for_which_something_is_missing(
    make_app: AppFactory,
    okta: EventHook,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    url: str,
    said: str,
) -> None:
    """A driver that is not installed, or a system without the locks that a file needs."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(RuntimeError, match=f"^OKTA_HOOKS_INBOX is .*{said}"):
        make_app(okta, INBOX=url)


@pytest.mark.parametrize("below", ["", "new/newer/"])
def test_a_folder_that_is_not_writable(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, below: str
) -> None:
    """The error names the folder and both users; nothing is made, and in a test the folder is not looked at."""
    tmp_path.chmod(0o555)
    for folder in tmp_path.parents[:3]:  # pytest's own
        folder.chmod(folder.stat().st_mode | 0o755)
    with (
        as_nobody(),
        pytest.raises(RuntimeError, match=r"may not write to .* another file") as caught,
    ):
        make_app(okta, INBOX=f"sqlite:///{tmp_path}/{below}x.db")
    me, owner = NOBODY if os.getuid() == 0 else os.getuid(), tmp_path.stat().st_uid
    assert f"the user {me} may not write to {tmp_path}, which belongs to the user {owner}. " in str(
        caught.value
    )
    assert list(tmp_path.iterdir()) == []

    tested = make_app(INBOX=f"sqlite:///{tmp_path}/{below}x.db")
    tested.testing = True
    with as_nobody():
        tested.register_blueprint(okta)


def test_a_process_that_never_serves_the_hook(
    make_app: AppFactory, okta: EventHook, tmp_path: Path
) -> None:
    """A job of another user's is told the way out, and takes it: without an inbox nothing is looked at or made."""
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o755)
    tmp_path.chmod(0o555)
    jobs = make_app(INBOX=f"sqlite:///{tmp_path}/x.db"), make_app(INBOX=None)
    for job in jobs:
        job.instance_path = str(tmp_path / "instance")

    with as_nobody():
        with pytest.raises(
            RuntimeError, match=r"never serves the hook, .* OKTA_HOOKS_INBOX to None"
        ):
            jobs[0].register_blueprint(okta)
        jobs[1].register_blueprint(okta)

    assert jobs[1].test_client().get("/").status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Return a folder of nobody's, beside one in which nobody may write."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    (tmp_path / "closed").mkdir()
    made = tmp_path / "my volume"
    made.mkdir()
    if os.getuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    return made


def close(folder: Path) -> None:
    folder.chmod(0o555)


def test_a_link_to_a_volume(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, volume: Path
) -> None:
    """The folder that counts is that which the link of the file leads to, as when the inbox is opened."""
    link = tmp_path / "closed" / "okta_hooks.sqlite3"
    link.symlink_to(volume / "x.db")
    close(link.parent)
    app = make_app(INBOX=f"sqlite:///{link}")

    with as_nobody():
        app.register_blueprint(okta)
        inbox = app.extensions["okta_hooks"].runtime().inbox
        inbox.open()
        inbox.close()

    assert (volume / "x.db").is_file()


def test_a_link_to_where_nobody_may_write(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, volume: Path
) -> None:
    """A link in one's own folder makes no file elsewhere."""
    link = volume / "okta_hooks.sqlite3"
    link.symlink_to(tmp_path / "closed" / "x.db")
    close(tmp_path / "closed")

    with as_nobody(), pytest.raises(RuntimeError, match=r"may not write to .*/closed, which"):
        make_app(okta, INBOX=f"sqlite:///{link}")


def test_a_path_with_percent_signs(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, volume: Path
) -> None:
    """The folder that is looked at is the one that the installed SQLAlchemy makes of the URL."""
    url = f"sqlite:///{tmp_path}/my%20volume/x.db"
    named = Path(str(sa.make_url(url).database)).parent
    if named != volume:
        volume.rename(named)
    close(tmp_path)
    app = make_app(INBOX=url)

    with as_nobody():
        app.register_blueprint(okta)

    assert app.extensions["okta_hooks"].runtime().inbox.path == named / "x.db"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file/x.db", "file is no folder"),
        ("folder", "and that is a folder"),
        ("circle", "its symbolic links lead in a circle"),
    ],
)
def test_a_path_at_which_no_file_can_be(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, name: str, said: str
) -> None:
    """A file stands where the folder should be, or the other way round, or a link leads to itself."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")

    with pytest.raises(RuntimeError, match=f"^OKTA_HOOKS_INBOX .*{said}"):
        make_app(okta, INBOX=f"sqlite:///{tmp_path}/{name}")


@pytest.mark.parametrize("mode", [0o444, 0o222, 0o000])
def test_a_file_that_may_not_be_read_and_written(
    make_app: AppFactory, okta: EventHook, volume: Path, mode: int
) -> None:
    """One that a command of another user's has made in a folder of this one's: both are named."""
    file = volume / "x.db"
    file.touch()
    file.chmod(mode)

    with as_nobody(), pytest.raises(RuntimeError, match=r"^OKTA_HOOKS_INBOX .*chown it") as caught:
        make_app(okta, INBOX=f"sqlite:///{file}")

    me, owner = NOBODY if os.getuid() == 0 else os.getuid(), file.stat().st_uid
    assert f"the user {me} may not read and write it: it belongs to the user {owner}. " in str(
        caught.value
    )


class Lazy:
    """A module that is imported when it is used, and cannot be."""

    def __getattr__(self, name: str) -> Any:
        raise ImportError("a dependency that is not installed")


def test_a_lazy_module_is_left_alone(
    make_app: AppFactory,
    okta: EventHook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the first request looks at wakes no module that would raise."""
    monkeypatch.setitem(sys.modules, "lazy", Lazy())
    app = make_app(okta)

    assert app.test_client().get("/").status_code == 404
    assert caplog.messages == []


def test_what_is_only_told_fails_no_request(
    make_app: AppFactory, okta: EventHook, caplog: pytest.LogCaptureFixture
) -> None:
    """The first request of a process is answered as ever, and the log has why nothing was told."""
    app = make_app(okta)
    app.config[7] = "a key that is no text"

    assert app.test_client().get("/").status_code == 404
    (record,) = caplog.records
    assert record.message == "What may be wrong with this app could not be looked at."
    assert record.exc_info is not None
    assert caplog.text.endswith("AttributeError: 'int' object has no attribute 'startswith'\n")


def in_the_prefix(app: Flask, okta: EventHook) -> None:
    app.register_blueprint(okta, url_prefix="/t/<tenant>/okta")


def in_a_blueprint_around_it(app: Flask, okta: EventHook) -> None:
    outer = Blueprint("outer", __name__, url_prefix="/<tenant>")
    outer.register_blueprint(okta)
    app.register_blueprint(outer)


def in_the_subdomain(app: Flask, okta: EventHook) -> None:
    app.register_blueprint(okta, subdomain="<tenant>")


@pytest.mark.parametrize(
    "register",
    [in_the_prefix, in_a_blueprint_around_it, in_the_subdomain],
    ids=lambda register: register.__name__,
)
def test_a_url_with_a_variable(
    make_app: AppFactory, okta: EventHook, register: Callable[[Flask, EventHook], None]
) -> None:
    """Okta delivers to one URL, and the hook would take what stands in the variable's place for granted."""
    app = make_app()

    with pytest.raises(RuntimeError, match=r"'okta' has a variable: .*<tenant>.* url_prefix="):
        register(app, okta)

    assert not any(rule.endpoint.endswith("receive") for rule in app.url_map.iter_rules())


def another_hook(app: Flask) -> None:
    app.register_blueprint(EventHook("first"))


def a_view(app: Flask) -> None:
    app.add_url_rule(URL, "first.receive", lambda: "", methods=["POST"])


@pytest.mark.parametrize("first", [another_hook, a_view], ids=lambda first: first.__name__)
def test_a_url_that_is_taken(
    make_app: AppFactory, okta: EventHook, first: Callable[[Flask], None]
) -> None:
    """Whoever comes second would never get anything, and the first would refuse what is meant for it."""
    app = make_app()
    first(app)

    with pytest.raises(
        RuntimeError, match=r"'okta' would get nothing: the endpoint 'first.receive' .*at /okta"
    ):
        app.register_blueprint(okta)
    app.register_blueprint(okta, url_prefix="/okta/more")


def test_a_url_whose_verification_others_would_get(make_app: AppFactory, okta: EventHook) -> None:
    """A page of the host's that answers to GET there would be shown to Okta instead of the challenge."""
    app = make_app()
    app.add_url_rule(URL, "page", lambda: "")

    with pytest.raises(
        RuntimeError,
        match=r"'okta' would get no verification: the endpoint 'page' .* answers to GET",
    ):
        app.register_blueprint(okta)


def test_a_page_beside_the_hooks_url(make_app: AppFactory, okta: EventHook) -> None:
    """Okta asks for the URL as it is registered: a page with a slash at the end takes nothing of that."""
    app = make_app()
    app.add_url_rule(f"{URL}/", "page", lambda: "")
    app.register_blueprint(okta)

    answer = app.test_client().get(URL, headers=CHALLENGE | RIGHT)

    assert answer.get_json() == {"verification": CHALLENGE["X-Okta-Verification-Challenge"]}


def test_a_url_that_others_have_for_another_method(make_app: AppFactory, okta: EventHook) -> None:
    """What answers to neither GET nor POST takes nothing of the hook's."""
    app = make_app()
    app.add_url_rule(f"{URL}/", "page", lambda: "", methods=["PUT"])

    app.register_blueprint(okta)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(URL, endpoint="public", build_only=True),
        Rule(URL, endpoint="public", websocket=True),
    ],
    ids=["build_only", "websocket"],
)
def test_a_url_of_a_rule_that_answers_nothing(
    make_app: AppFactory, okta: EventHook, rule: Rule
) -> None:
    """A rule that only makes URLs, or is for WebSockets alone, takes nothing of the hook's."""
    app = make_app()
    app.url_map.add(rule)

    app.register_blueprint(okta)

    assert app.test_client().get(URL).get_json()["title"] == "Bad Request"


def test_a_hook_that_is_registered_twice(make_app: AppFactory, okta: EventHook) -> None:
    """An app whose factory is written so is told; a second URL needs a second name."""
    app = make_app(okta)

    with pytest.raises(
        RuntimeError, match="'okta' is already registered with this app: once is enough"
    ):
        app.register_blueprint(okta)


class Other:
    """An app of another framework that takes blueprints, as Quart's does."""


def test_an_app_that_is_not_flasks(okta: EventHook) -> None:
    """It would call the views in its own way."""
    app: Any = Other()

    with pytest.raises(
        RuntimeError, match=r"for Flask, and this is a tests\..*\.Other\. Register it with a Flask"
    ):
        okta.register(app, {})

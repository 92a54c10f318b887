"""What the URL of an inbox's database says by itself: what is wrong with it, and which file it names.

Nothing is opened.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .secret import frameless, revealed

if TYPE_CHECKING:
    from .secret import Secret

DEFAULT: Final = "sqlite:///okta_hooks.sqlite3"
_WHOLE: Final = "sqlite:////var/lib/app/okta_hooks.sqlite3"
_NO_ENDS: Final = re.compile(r"[\s\x00-\x1f\x7f]")
#: Up to the port, as SQLAlchemy takes a URL apart: a password may hold anything but an @.
_ADDRESS: Final = re.compile(
    r"(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::(?P<port>[^/?]*))?"
)


_NONE: Final = (
    f"must be the URL of an SQLite file ({DEFAULT!r}) "
    "or of a PostgreSQL database ('postgresql://user:password@host/name'), "
    "or None to store nothing and run receivers inside the request (in the environment: null)."
)


def problem(url: str) -> str | None:
    """Return what is wrong with the URL of an inbox, and how it is right; None if nothing is.

    The URL is not quoted: it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if "\0" in url or _NO_ENDS.match(url[:1]) or _NO_ENDS.match(url[-1:]):
        return (
            "holds a NUL, or begins or ends with a blank, a line break or another control character. "
            "Was it read from a file? Strip it."
        )
    if separator and scheme == "sqlite":
        found = _problem_of_file(rest)
    elif separator and scheme in ("postgresql", "postgresql+psycopg"):
        found = _problem_of_server(rest)
    elif separator and scheme == "postgres":
        found = (
            "begins with postgres://, which SQLAlchemy does not know: write postgresql:// instead."
        )
    else:
        found = _NONE
    return found


def _problem_of_file(rest: str) -> str | None:
    path, question_mark, _ = rest.partition("?")
    if path and not path.startswith("/"):
        return (
            "has two slashes, after which a host would come. An SQLite file has three, and four if its path is "
            f"absolute: {DEFAULT}, {_WHOLE}."
        )
    if path.startswith("/~"):
        return (
            "begins with ~, which is not expanded here. "
            "Write the whole path, with four slashes: sqlite:////home/app/okta_hooks.sqlite3."
        )
    if question_mark:
        return (
            "has a question mark, and an SQLite file takes no options: leave out what follows. "
            "What the inbox needs, it sets itself."
        )
    if path in ("", "/") or path.startswith(("/:memory:", "/file:")):
        return _NONE
    if path.rpartition("/")[2] in ("", ".", ".."):
        return f"names a folder. Write the file, too: {_WHOLE}."
    return None


def _problem_of_server(rest: str) -> str | None:
    address = _ADDRESS.match(rest)
    port = address["port"] if address else None
    if port is None or (port.isascii() and port.isdecimal()):
        return None
    return (
        "has no number where its port should be. If that is a part of the password, it has an @, which is written "
        "%40 there; a slash in the name of the user is %2F."
    )


@frameless
def scheme(url: str | Secret) -> str:
    """Return what stands before the colon: what else a URL has may be secret."""
    text: str = revealed(url)
    return text.partition("://")[0]


@frameless
def file_of(url: str | Secret, folder: str) -> Path:
    """Return the whole path of an SQLite file as it is named, with its symbolic links.

    :param url: An SQLAlchemy URL of SQLite.
    :param folder: Where a relative path begins.
    """
    text: str = revealed(url)
    database = text.partition("://")[2].partition("?")[0].removeprefix("/")
    if "%" in database:
        # SQLAlchemy 2.1 decodes it, and 2.0 does not.
        from sqlalchemy import make_url  # an app starts without it, but for this

        database = make_url(text).database or ""
    return Path(folder, database).absolute()


def behind_links(named: Path) -> Path:
    """Return the file that a path leads to: SQLite puts its companions beside that.

    Links that lead in a circle are left in it: nothing is raised.
    """
    return Path(os.path.realpath(named))

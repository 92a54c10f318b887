"""What the URL of an inbox's database says by itself: which file it names. Nothing is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .secret import frameless, revealed

if TYPE_CHECKING:
    from .secret import Secret


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

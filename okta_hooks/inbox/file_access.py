"""Who else may get at the files of an SQLite inbox, and how they are made for their owner alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROOT: Final = 0
#: What SQLite and this library put beside the file.
_ENDINGS: Final = ("", "-wal", "-shm", ".turn", ".lock")


def make_folder(folder: Path) -> None:
    """Make a folder, and those around it that are missing, for their owner alone, whatever the umask."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def complaints(named: Path, user: int) -> Iterator[str]:
    """Yield who else could read or exchange what the inbox holds, each with a cure.

    That a group may is not told of: its members may be meant. Nor is a link around the file in a folder of its owner's
    or root's, such as `current` of a deploy: who may write to that folder brings the app's code, too.

    :param named: The file as it is configured, with its symbolic links.
    :param user: The id of this process's user.
    """
    for link in (named, *named.parents):
        if not link.is_symlink() or (owner := link.lstat().st_uid) in (user, _ROOT):
            continue
        # A link cannot be changed, only exchanged: by whoever may write to the folder that it is in.
        if link == named or _is_open_to_all(link.parent, stat.S_IWOTH):
            yield (
                f"{link} is a symbolic link of the user {owner}, who can let it lead elsewhere: this process is the "
                f"user {user}. Name the file itself in OKTA_HOOKS_INBOX, or replace the link with one of your own."
            )
    path = named.resolve()
    files = [path.with_name(path.name + ending) for ending in _ENDINGS]
    if shared := [file for file in files if _is_open_to_all(file, stat.S_IROTH | stat.S_IWOTH)]:
        names = " ".join(map(str, shared))
        yield f"Every user of this machine may read or write {names}: chmod o-rwx {names}"
    folder = path.parent
    if _is_open_to_all(folder, stat.S_IWOTH) and not folder.stat().st_mode & stat.S_ISVTX:
        yield f"Every user of this machine may exchange the files in {folder}: chmod o-w {folder}"


def _is_open_to_all(path: Path, access: int) -> bool:
    try:
        return bool(path.stat().st_mode & access)
    except OSError:
        return False

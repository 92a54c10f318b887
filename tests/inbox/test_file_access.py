from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.file_access import complaints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_folders_and_files_are_their_owners_alone(
    tmp_path: Path, delivery: DeliveryFactory, umask: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the umask, nobody else may enter a folder that is made for the inbox; nothing is warned of then."""
    before = os.umask(umask)
    try:
        inbox = Inbox("sqlite:///new/folder/inbox.sqlite3", folder=str(tmp_path))
        inbox.intake.store([delivery("a")])
    finally:
        os.umask(before)
    folder = tmp_path / "new" / "folder"
    try:
        assert [mode(folder.parent), mode(folder)] == [0o700, 0o700]
        assert {mode(path) for path in folder.iterdir()} == {0o600}
    finally:
        inbox.close()
    assert "owner's alone" not in caplog.text


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Who made it has said who may enter."""
    tmp_path.chmod(0o755)
    inbox = Inbox("sqlite:///inbox.sqlite3", folder=str(tmp_path))
    inbox.intake.store([delivery("a")])
    inbox.close()

    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("access", [0o604, 0o602, 0o644, 0o666])
def test_a_file_that_others_may_read_or_write(
    tmp_path: Path, delivery: DeliveryFactory, access: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used, and told of once, with what to do."""
    file = tmp_path / "inbox.sqlite3"
    file.touch()
    file.chmod(access)
    inbox = Inbox(f"sqlite:///{file}")
    inbox.intake.store([delivery("a")])
    inbox.close()
    inbox.intake.store([delivery("b")])
    inbox.close()

    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().endswith(f": chmod o-rwx {file}")


def test_a_folder_in_which_others_may_write(tmp_path: Path) -> None:
    """Whoever may write there can put another file in the place of the inbox; where they cannot, it is fine."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    (told,) = complaints(folder / "inbox.sqlite3", os.getuid())
    assert told.endswith(f"chmod o-w {folder}")

    folder.chmod(0o1777)
    assert list(complaints(folder / "inbox.sqlite3", os.getuid())) == []


def test_what_a_group_may_is_its_owners_business(tmp_path: Path) -> None:
    """A web process and a worker of two users may share an inbox by a group."""
    file = tmp_path / "inbox.sqlite3"
    file.touch()
    file.chmod(0o660)
    tmp_path.chmod(0o770)

    assert list(complaints(file, os.getuid())) == []


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_symbolic_link_of_somebody_else(tmp_path: Path, where: str) -> None:
    """Its owner can let it lead elsewhere; one's own, and those of root, are nobody's danger."""
    folder = tmp_path / "real"
    folder.mkdir()
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to(folder if where == "folder" else folder / "inbox.sqlite3")
    named = link / "inbox.sqlite3" if where == "folder" else link
    me = link.lstat().st_uid

    assert list(complaints(named, me)) == []
    if me == 0:
        os.lchown(link, 4711, -1)
        me, owner = 0, 4711
    else:
        me, owner = me + 1, me
    (told,) = complaints(named, me)
    assert told.startswith(f"{link} is a symbolic link of the user {owner}")
    assert f"this process is the user {me}" in told


def test_a_link_of_whoever_deploys(tmp_path: Path) -> None:
    """`current`, in a folder in which only its owner, their group or root may write, is where the code comes from."""
    (tmp_path / "releases" / "42").mkdir(parents=True)
    current = tmp_path / "current"
    current.symlink_to("releases/42")
    me = os.getuid()
    if me == 0:
        os.lchown(current, 4711, -1)
    else:
        me += 1

    for mode in (0o755, 0o775):
        tmp_path.chmod(mode)
        assert list(complaints(current / "inbox.sqlite3", me)) == []

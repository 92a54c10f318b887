from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox, file_system
from okta_hooks.inbox.intake import Stored
from tests.support import states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]

COUNT = """
import sys
from okta_hooks.inbox import Inbox
inbox = Inbox(sys.argv[1])
counts = inbox.overview.counts()
print(counts.open + counts.done + counts.dead)
inbox.close()
"""


def test_a_sequence_that_was_lost(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Who repairs an SQLite file by hand may lose where its ids had got to; none comes twice."""
    inbox = Inbox(f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    inbox.intake.store([delivery("a"), delivery("b")])
    with closing(sqlite3.connect(tmp_path / "inbox.sqlite3")) as other, other:
        other.execute("DELETE FROM sqlite_sequence")

    assert inbox.intake.store([delivery("c")]) == [Stored(new=1, duplicate=0)]
    inbox.close()


def test_the_file_is_its_owners_alone(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Whatever the umask, nobody else may read the file, its journal, its index, or whose turn it is."""
    before = os.umask(0)
    try:
        inbox = Inbox("sqlite:///new/folder/inbox.sqlite3", folder=str(tmp_path))
        inbox.intake.store([delivery("a")])
        modes = {
            path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new/folder").iterdir()
        }
    finally:
        os.umask(before)
        inbox.close()

    names = [f"inbox.sqlite3{suffix}" for suffix in ("", "-wal", "-shm", ".turn")]
    assert modes == dict.fromkeys(names, 0o600)


def test_sqlite_writes_through_to_the_disk(tmp_path: Path, open_sqlite: OpenInbox) -> None:
    """The journal is a write-ahead log, and a commit waits for the disk."""
    inbox = open_sqlite()
    inbox.open()

    with inbox.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.fixture
def open_sqlite(tmp_path: Path, clock: Clock) -> Iterator[OpenInbox]:
    """Return a function that makes an inbox over a file, for what concerns files only."""
    made = []

    def make(url: str = f"sqlite:///{tmp_path}/file.sqlite3") -> Inbox:
        made.append(Inbox(url, clock=clock, elapsed=clock))
        return made[-1]

    yield make
    for inbox in made:
        inbox.close()


def test_the_first_opening_says_where_the_inbox_is(
    open_inbox: OpenInbox, inbox_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, once, without a password."""
    caplog.set_level(logging.INFO)
    opened = open_inbox(inbox_url.replace("postgres:@", "postgres:s3cret@"))

    opened.open()
    opened.overview.counts()

    (message,) = (
        record.getMessage() for record in caplog.records if record.levelno == logging.INFO
    )
    assert message.startswith("The inbox is ")
    assert (opened.path.name if opened.path else "***@/inbox_") in message
    assert "s3cret" not in message


def test_a_file_system_that_does_not_last_is_warned_of(
    open_sqlite: OpenInbox, caplog: pytest.LogCaptureFixture
) -> None:
    """An inbox in memory, or in a container's own layer, would be lost with a restart."""
    place = Path("/dev/shm", f"okta-hooks-test-{os.getpid()}.sqlite3")
    try:
        opened = open_sqlite(f"sqlite:///{place}")
        opened.open()
        opened.close()
    finally:
        for path in place.parent.glob(place.name + "*"):
            path.unlink()

    assert "(tmpfs) that may not survive a restart" in caplog.text
    assert str(place) in caplog.text


def test_a_disk_is_not_warned_of(
    open_sqlite: OpenInbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning follows what the system says of the place, so an ordinary disk gives none."""
    asked = ["stat", "--file-system", "--format=%T", str(tmp_path)]
    kind = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    open_sqlite().open()

    is_ephemeral = kind in {"tmpfs", "ramfs", "overlayfs"}
    assert ("may not survive" in caplog.text) is is_ephemeral


@pytest.mark.parametrize(
    ("kind", "is_warned_of"),
    [
        *((kind, True) for kind in ("nfs4", "cifs", "virtiofs", "9p", "fuse.sshfs", "fuse.s3fs")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "fuseblk")),
    ],
)
def test_a_file_system_of_another_machine_is_warned_of(
    open_sqlite: OpenInbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    kind: str,
    is_warned_of: bool,
) -> None:
    """Over a network, or through another process, SQLite's locks may not work: the first opening says so, once."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:20 / / rw - ext4 /dev/sda1 rw\n"
        f"36 22 0:32 / {tmp_path} rw,relatime shared:1 - {kind} somewhere rw\n"
    )
    monkeypatch.setattr(file_system, "_MOUNTS", mounts)

    opened = open_sqlite()
    opened.open()
    opened.overview.counts()

    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == is_warned_of
    for record in told:
        assert f"({kind}) on which SQLite's locks may not work" in record.getMessage()
        assert str(tmp_path) in record.getMessage()


@pytest.mark.skipif(os.getuid() != 0, reason="makes a file of another user's")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_of_another_user(tmp_path: Path, open_sqlite: OpenInbox, mode: int) -> None:
    """One that this process may not write is named, with both users: a command of root's may have made it."""
    path = tmp_path / "file.sqlite3"
    path.touch()
    path.chmod(mode)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o777)
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(InboxUnavailable) as raised:
            open_sqlite().open()
    finally:
        os.setresuid(0, 0, 0)

    said = f"{path} belongs to the user 0, and this process runs as the user 65534, which may"
    assert said in str(raised.value)


def test_a_file_that_was_deleted_is_noticed(
    open_sqlite: OpenInbox, delivery: DeliveryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite would go on writing to a file that has no name any more: a new one is made, with an ERROR."""
    opened = open_sqlite()
    opened.intake.store([delivery("a")])
    assert opened.path is not None
    for path in opened.path.parent.glob(opened.path.name + "*"):
        path.unlink()

    assert opened.intake.store([delivery("b")]) == [Stored(new=1, duplicate=0)]

    assert states(open_sqlite()) == {"b": "pending"}
    assert "was moved or deleted" in caplog.text


def count_elsewhere(url: str) -> int:
    """Return how many events another process finds; it is the last there to close the file."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, url], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_two_inboxes_on_one_file_in_one_process(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Opening the file a second time takes no lock away that SQLite has on it.

    Else another process, closing the file, would delete the log that this one goes on writing to.
    """
    url = f"sqlite:///{tmp_path}/inbox.sqlite3"
    first, second = Inbox(url), Inbox(url)
    first.intake.store([delivery("a")])
    second.intake.store([delivery("b")])
    assert count_elsewhere(url) == 2

    first.intake.store([delivery("c")])

    assert count_elsewhere(url) == 3
    first.close()
    second.close()


def test_two_spellings_of_one_file_have_one_leader(tmp_path: Path) -> None:
    """A link to the folder makes no second leader."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    paths = [
        Inbox("sqlite:///inbox.sqlite3", folder=str(tmp_path / name)).path
        for name in ("real", "link")
    ]

    assert paths[0] == paths[1]

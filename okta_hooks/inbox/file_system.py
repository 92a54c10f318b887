"""On what kind of file system a file lies, whose it is, and whether it is still the same file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: File systems that may be gone after a restart.
EPHEMERAL: Final = frozenset({"tmpfs", "ramfs", "overlay", "fuse.fuse-overlayfs"})
#: File systems of another machine, or of the host of a virtual one.
_SHARED: Final = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "fakeowner",
            "fuse",
            "glusterfs",
            "gpfs",
            "lustre",
        ),
        *(
            "ncpfs",
            "nfs",
            "nfs4",
            "orangefs",
            "prl_fs",
            "smb3",
            "smbfs",
            "vboxsf",
            "virtiofs",
            "vmhgfs",
        ),
    }
)

_MOUNTS = Path("/proc/self/mountinfo")


def is_shared(kind: str | None) -> bool:
    """Return whether SQLite's locks, or the memory that its processes share, may not work on a file system.

    That is so over a network (https://www.sqlite.org/wal.html, section 1), and where a process stands between.

    :param kind: Its type, as :func:`file_system` returns it.
    """
    return (
        kind is not None and kind not in EPHEMERAL and (kind in _SHARED or kind.startswith("fuse."))
    )


def file_system(path: Path) -> str | None:
    """Return the type of the file system that a file lies on, or None where it cannot be found out."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, tail.split()[0])
    return best[1]


def owner_and_me(path: Path) -> str:
    """Return, for a message, whom a file or folder belongs to, and as whom this process runs."""
    return f"{path} belongs to the user {path.stat().st_uid}, and this process runs as the user {os.getuid()}"


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, which differ when a file is replaced by another of its name; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino

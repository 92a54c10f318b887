"""On what kind of file system a file lies, and whether it is still the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: File systems that may be gone after a restart.
EPHEMERAL: Final = frozenset({"tmpfs", "ramfs", "overlay"})


def file_system(path: Path) -> str | None:
    """Return the type of the file system that a file lies on, or None where it cannot be found out."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, tail.split()[0])
    return best[1]


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, which differ when a file is replaced by another of its name; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino

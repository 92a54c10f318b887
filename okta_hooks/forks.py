"""What is to be done in a process that was forked off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_children(function: Callable[[], object]) -> None:
    """Have a function called in each child that this process forks off, where the system forks: Windows does not."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)

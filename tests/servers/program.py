"""Runs a program that stands beside this Python, in the place of it: ``python -m tests.servers.program uwsgi ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    found = Path(sys.executable).with_name(sys.argv[1])
    if not found.exists():
        sys.exit(f"{sys.argv[1]} is not installed.")
    os.execv(found, sys.argv[1:])

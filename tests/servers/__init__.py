"""The hook in many web servers: ``make servers``."""

from __future__ import annotations

from typing import Final

#: How many seconds a request to ``/pause`` of the app takes.
PAUSE: Final = 0.5

"""Stored deliveries and events on their way to receivers, and every statement of SQL.

:class:`Inbox` puts the parts together over one database; each part has its own statements.
Nothing here calls a receiver, a signal's handler, or anything else of the host's.
"""

from typing import TYPE_CHECKING, Any

from .inbox import Inbox

__all__ = ["Inbox", "metadata"]

if TYPE_CHECKING:
    from .tables import metadata
else:

    def __getattr__(name: str) -> Any:
        if name != "metadata":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import schema

        # Whoever makes the tables with it has either database: our own processes need the dialect of theirs only.
        made = globals()[name] = schema.described("sqlite", "postgresql")
        return made

"""Stored deliveries and events on their way to receivers, and every statement of SQL.

:class:`Inbox` puts the parts together over one database; each part has its own statements.
Nothing here calls a receiver, a signal's handler, or anything else of the host's.
"""

from .inbox import Inbox
from .tables import metadata

__all__ = ["Inbox", "metadata"]

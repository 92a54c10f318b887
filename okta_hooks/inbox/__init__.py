"""The inbox: stored deliveries and events on their way to receivers."""

from .claims import Inbox
from .tables import metadata

__all__ = ["Inbox", "metadata"]

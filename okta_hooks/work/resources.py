"""What the lanes of one worker have in common."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.database import CONNECTIONS
from okta_hooks.logs import get_logger
from okta_hooks.outage import Lines, Outage

from . import interruption
from .alone import Permits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.receivers import Hook, Receiver

    from .bodies import Bodies
    from .lease import Lease

logger = get_logger(__name__)

_INBOX_AWAY: Final = Lines(
    begins="The worker cannot use the inbox: %(error)s",
    goes_on="The worker cannot use the inbox for %(seconds).0f s now, %(count)d tries: %(error)s",
    ends="The worker can use the inbox again, after %(seconds).0f s and %(count)d tries.",
)
#: How many lanes use the database at a time. The others wait here, where waiting is no failure however many
#: they are, and the worker's own threads find a connection.
_LANES_AT_ONCE: Final = CONNECTIONS - 1


@dataclass(kw_only=True)
class Resources:
    """An app, its inbox, and what of a worker its lanes use.

    ``receiver`` returns a connected receiver by hook and name, or None if it is not connected (any more).
    ``closed`` counts the events that were brought to an end;
    ``deadline`` is the time, by :func:`time.monotonic`, after which no receiver is called, or None.
    ``at_database`` is held by lanes that use the database.
    """

    app: Flask
    hooks: Mapping[str, Hook]
    inbox: Inbox
    worker_id: str
    lease: Lease
    bodies: Bodies
    receiver: Callable[[str, str], Receiver | None]
    max_attempts: int
    jitter: Callable[[], float]
    stopping: threading.Event = field(default_factory=threading.Event)
    permits: Permits = field(default_factory=Permits)
    at_database: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(_LANES_AT_ONCE)
    )
    outage: Outage = field(default_factory=lambda: Outage(logger, _INBOX_AWAY))
    closed: int = 0
    deadline: float | None = None
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def count_closed(self, number: int) -> None:
        """Count events that were brought to an end."""
        with self._counting:
            self.closed += number

    @property
    def is_late(self) -> bool:
        """Whether the time is up after which no receiver is to be called."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def may_run(self) -> bool:
        """Whether another receiver may be called now."""
        is_stopped = self.stopping.is_set() or self.is_late or interruption.is_due()
        return not is_stopped and self.lease.holds()

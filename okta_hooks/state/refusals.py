"""How often it is logged that requests are refused."""

from __future__ import annotations

import threading
from typing import Final

from okta_hooks.logs import plain_logger
from okta_hooks.outage import Lines, Outage

logger = plain_logger(__name__)

_SECONDS_BETWEEN_WARNINGS: Final = 60


_NOT_STORED: Final = Lines(
    begins="A delivery to the hook %(hook)r was not stored: %(error)s",
    goes_on="Deliveries have not been stored for %(seconds).0f s now, %(count)d of them. The last: %(error)s",
    ends="Deliveries are stored again, after %(seconds).0f s in which %(count)d were not.",
)
_NOT_VERIFIED: Final = Lines(
    begins="The verification of the hook %(hook)r was refused: %(error)s",
    goes_on="Verifications have been refused for %(seconds).0f s now, %(count)d of them. The last: %(error)s",
    ends="Verifications are answered again, after %(seconds).0f s in which %(count)d were not.",
)
#: While a database takes some deliveries and refuses others, that is one outage.
_SECONDS_OF_CALM: Final = 10.0


class Refusals:
    """Counts wrong secrets, so that a stranger cannot fill the log, and what the inbox does not take."""

    def __init__(self) -> None:
        self.not_stored = Outage(logger, _NOT_STORED, calm=_SECONDS_OF_CALM)
        self.not_verified = Outage(logger, _NOT_VERIFIED)
        self._lock = threading.Lock()
        self._count = 0
        self._quiet_until: float | None = None
        self._told: set[tuple[str, str]] = set()

    def add(self, now: float, hook: str, hint: str) -> int:
        """Count a wrong secret; return how many to warn of, or 0 if that was warned of within a minute.

        :param hint: What may be wrong. Each is told at once, the same one once a minute: there are few of them.
        """
        with self._lock:
            self._count += 1
            if self._quiet_until is None or now >= self._quiet_until:
                self._told.clear()
                self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
            elif (hook, hint) in self._told:
                return 0
            self._told.add((hook, hint))
            count, self._count = self._count, 0
            return count

"""Reading an inbox within a time, whatever its database does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.in_time import InTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox

T = TypeVar("T")

#: Whoever opens a page is told within it that the database is away.
SECONDS: Final = 2.0
#: For a batch of what an operator has asked for.
SECONDS_TO_ACT: Final = 20.0
#: By so much later the thread has ended, if the database only takes too long.
_GRACE: Final = 0.3
#: How many threads may be stuck in a database that is silent.
_MOST: Final = 6


class Reads:
    """Asks an inbox in threads, of which a silent database can hold a few, but not more."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(_MOST)

    def ask(self, inbox: Inbox, question: Callable[[Inbox], T]) -> T:
        """Return what a question returns of an inbox, in :data:`SECONDS`, whatever it asks of the database.

        :raises InboxUnavailable: if the database does not answer in time.
        """
        seconds = SECONDS
        if not self._free.acquire(timeout=seconds):
            raise InboxUnavailable("it has not answered others who look at it")

        has_begun = False

        def asked() -> T:
            nonlocal has_begun
            has_begun = True
            try:
                with inbox.database.within(seconds):
                    return question(inbox)
            finally:
                self._free.release()

        try:
            return InTime(asked).ask(seconds + _GRACE)
        except TimeoutError as error:
            raise InboxUnavailable(f"it did not answer within {seconds:g} s") from error
        except RuntimeError as error:
            if has_begun:
                raise
            self._free.release()
            raise InboxUnavailable("there are too many threads to ask it in one more") from error

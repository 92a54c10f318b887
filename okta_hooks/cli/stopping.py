"""How commands that go on until they are stopped hear of SIGTERM and SIGINT."""

from __future__ import annotations

import queue
import signal
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from okta_hooks.threads import next_in, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def work_with_signals(
    work: Callable[[], Any], on_signal: Callable[[int], None], *, also: Iterable[int] = ()
) -> Any:
    """Do the work in another thread, and return what it returns or raise what it raises.

    Meanwhile SIGTERM and SIGINT call ``on_signal`` with their number, in this thread, the main one, one after
    another. What it raises ends this, and the work goes on in its daemon thread until the process ends.

    :param also: Other signals that call it.
    """
    outcome: Future[Any] = Future()
    # A handler may interrupt whatever runs in the main thread, another handler too: all that it may do is to put
    # something into a queue of this kind.
    arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            outcome.set_exception(error)
        arrived.put(None)

    before = {
        number: signal.signal(number, lambda number, _: arrived.put(number))
        for number in (signal.SIGTERM, signal.SIGINT, *also)
    }
    try:
        start_thread(run, name="okta-hooks-work")
        while (number := next_in(arrived)) is not None:
            on_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return outcome.result()

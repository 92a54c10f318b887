"""What stands for Okta in the chaos: it delivers events to a site, and keeps account of what was acknowledged."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET: Final = "correct horse"
CLIENTS: Final = 4
OKTAS_PATIENCE: Final = 3.0
SENT_TWICE: Final = 0.05


class Okta:
    """Sends deliveries of so many events, in several threads.

    :param seconds: What the events say about how long the receiver ``crm`` is to take.
    :param has_room: Returns whether the next delivery may be sent.
    """

    def __init__(
        self,
        port: int,
        events: int,
        seed: int,
        *,
        seconds: float = 0.0,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.sent = 0
        self.acknowledged: set[str] = set()
        self.answers: dict[int | None, int] = defaultdict(int)
        self.slowest = 0.0
        self._port = port
        self._seconds = seconds
        self._has_room = has_room
        self._chance = random.Random(seed)
        self._deliveries = self._make(events)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def _make(self, events: int) -> Iterator[tuple[list[str], int]]:
        """Make lists of uuids, and how often each is delivered, whatever the answer."""
        while self.sent < events:
            size = min(self._chance.randint(1, 19), events - self.sent)
            uuids = [f"uuid-{self.sent + number}" for number in range(size)]
            self.sent += size
            yield uuids, 2 if self._chance.random() < SENT_TWICE else 1

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    @property
    def has_finished(self) -> bool:
        """Return whether everything has been sent."""
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while True:
            while not self._has_room():
                time.sleep(0.02)
            with self._lock:
                uuids, times = next(self._deliveries, ([], 0))
            if not uuids:
                return
            for _ in range(times):
                if self._deliver(_body(uuids, self._seconds)):
                    with self._lock:
                        self.acknowledged.update(uuids)

    def _deliver(self, body: str) -> bool:
        """Send a delivery, once more if that can help; return whether it was acknowledged."""
        for _ in range(2):
            status = self._post(body)
            if status is not None and status < 500:
                break
        return status == 204

    def _post(self, body: str) -> int | None:
        began = time.monotonic()
        status = None
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=OKTAS_PATIENCE)
        headers = {"Authorization": SECRET, "Content-Type": "application/json"}
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("POST", "/okta/events", body, headers)
            status = connection.getresponse().status
        with self._lock:
            self.answers[status] += 1
            if status is not None:
                self.slowest = max(self.slowest, time.monotonic() - began)
        return status


def _body(uuids: list[str], seconds: float) -> str:
    return json.dumps(
        {
            "eventType": "com.okta.event_hook",
            "eventId": f"delivery-of-{uuids[0]}",
            "source": "https://example.okta.com/api/v1/eventHooks/who1",
            "data": {
                "events": [
                    {
                        "uuid": uuid,
                        "published": "2026-05-04T03:02:01.000Z",
                        "eventType": "user.lifecycle.create",
                        "severity": "INFO",
                        "displayMessage": str(seconds),
                        "actor": {"id": "00u1", "type": "User", "alternateId": "a@example.com"},
                        "outcome": {"result": "SUCCESS"},
                        "target": [{"id": "00u2", "type": "User", "alternateId": uuid}],
                    }
                    for uuid in uuids
                ]
            },
        },
        separators=(",", ":"),
    )

"""Gives events to Celery by ``.delay``, as a view would: ``python -m benchmarks.sending NUMBER``."""

from __future__ import annotations

import json
import os
import sys
from typing import Final

from .load import bodies

#: Where in Redis it says how many it has sent.
SENT: Final = "sent"


def main(events: int) -> None:
    """Send so many events."""
    from redis import Redis

    from .tasks import app

    client = Redis(unix_socket_path=os.environ["BENCH_BROKER"].removeprefix("redis+socket://"))
    handle = app.tasks["handle"]
    for number, text in enumerate(bodies(events, 1), start=1):
        handle.delay(json.loads(text)["data"]["events"][0])
        client.set(SENT, number)


if __name__ == "__main__":
    main(int(sys.argv[1]))

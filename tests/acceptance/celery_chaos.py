"""Deliver events to real servers, have Celery run the receivers, and take away now this and now that.

Two Gunicorn workers and a process of its own relay; two Celery workers have two processes each, for two queues.
Every kind of fault comes at least once: see :data:`FAULTS`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

from okta_hooks.inbox import Inbox

from .celery_chaos_broker import OwnRedis, RabbitMQ
from .celery_chaos_site import POOLS, CelerySite
from .chaos_findings import RECEIVERS, judge, read_runs
from .chaos_inbox import drain
from .chaos_okta import Okta

if TYPE_CHECKING:
    from pathlib import Path

    from .celery_chaos_broker import ChaosBroker

#: What happens, and how often in relation to the others.
FAULTS: Final = {
    "pool process killed": 10,
    "Celery worker killed": 3,
    "web process killed": 4,
    "web master killed": 1,
    "relay killed": 3,
    "messages lost": 1,
    "broker away": 1,
    "pool process stopped": 1,
}
EVENTS_PER_FAULT: Final = 80
WINDOW: Final = 30
RESEND: Final = 5.0
SECONDS_OF_CRM: Final = 0.05
#: Okta waits while so many events are open, so that something is delivered and handled at every fault.
MOST_OPEN: Final = 200
#: The broker stays away until so many events have been acknowledged without it.
ACKNOWLEDGED_WHILE_AWAY: Final = 40
_SECONDS_AWAY: Final = (1.0, 20.0)


class Backlog:
    """Counts what is open, again and again, in a thread."""

    def __init__(self, inbox: Inbox, broker: ChaosBroker) -> None:
        self._inbox = inbox
        self._broker = broker
        self._open = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.1):
            self._open = self._inbox.overview.counts().open

    def has_room(self) -> bool:
        """Return whether more may be sent: some even while nothing is handled because the broker is away."""
        most = MOST_OPEN if self._broker.is_up else MOST_OPEN + 3 * ACKNOWLEDGED_WHILE_AWAY
        return self._is_over.is_set() or self._open < most


def choose_faults(number: int, chance: random.Random) -> list[str]:
    """Return so many faults, and of each kind at least one."""
    chosen = [
        *FAULTS,
        *chance.choices(list(FAULTS), list(FAULTS.values()), k=max(0, number - len(FAULTS))),
    ]
    chance.shuffle(chosen)
    # This one first: it takes long, and the others are to happen meanwhile.
    chosen.remove("pool process stopped")
    return ["pool process stopped", *chosen]


def cause(
    fault: str, site: CelerySite, broker: ChaosBroker, okta: Okta, chance: random.Random
) -> int:
    """Cause a fault; return how many events were acknowledged while the broker was away."""
    match fault:
        case "pool process killed":
            site.kill_child(chance)
        case "Celery worker killed":
            site.kill_main(chance.choice(POOLS))
        case "web process killed":
            site.kill_web(chance)
        case "web master killed":
            site.kill_main("gunicorn")
        case "relay killed":
            site.kill_main("relay")
        case "messages lost":
            broker.lose_messages()
        case "broker away":
            return _be_away(broker, okta)
        case "pool process stopped":
            site.stop_child(chance)
    return 0


def _be_away(broker: ChaosBroker, okta: Okta) -> int:
    broker.stop()
    before, since = len(okta.acknowledged), time.monotonic()
    shortest, longest = _SECONDS_AWAY
    while True:
        time.sleep(0.05)
        acknowledged = len(okta.acknowledged) - before
        seconds = time.monotonic() - since
        is_enough = acknowledged >= ACKNOWLEDGED_WHILE_AWAY or okta.has_finished
        if seconds > longest or (is_enough and seconds > shortest):
            break
    broker.start()
    return acknowledged


def _wrong_with(site: CelerySite, statuses: dict[str, int], *, times_away: int) -> list[str]:
    """Return what must not be of the processes."""
    wrong = [f"{name} ended with {status}" for name, status in statuses.items() if status]
    if site.given_up > len(POOLS) * times_away:
        wrong.append(f"Celery workers have ended by themselves {site.given_up} times")
    if not site.suspended:
        wrong.append("no process was stopped while it had something in hand")
    return wrong


def run_celery_chaos(
    url: str,
    folder: Path,
    events: int,
    seed: int,
    *,
    broker_url: str | None,
    end_leases: bool,
    most_messages: float,
) -> dict[str, Any]:
    """Run it on a PostgreSQL database, and return a line of the table; ``wrong`` holds what must not be.

    :param broker_url: Of a RabbitMQ server on this host; None: a Redis server of its own.
    :param end_leases: Do not wait until the leases of killed and stopped processes run out.
    :param most_messages: How many there may be for each receipt.
    """
    began = time.monotonic()
    chance = random.Random(seed)
    faults = choose_faults(events // EVENTS_PER_FAULT, chance)
    broker: ChaosBroker = OwnRedis(folder) if broker_url is None else RabbitMQ(broker_url)
    site = CelerySite(url, folder, broker.url, window=WINDOW, resend=RESEND, end_leases=end_leases)
    inbox = Inbox(url)
    backlog = Backlog(inbox, broker)
    okta = Okta(site.port, events, seed, seconds=SECONDS_OF_CRM, has_room=backlog.has_room)
    without_broker = 0
    try:
        broker.start()
        broker.lose_messages()
        site.start()
        inbox.open()
        with backlog:
            site.await_ready()
            okta.start()
            for number, fault in enumerate(faults, 1):
                # As many faults for as many events, however slow the machine is.
                while not okta.has_finished and okta.sent < number * events / (len(faults) + 1):
                    site.look_after()
                    time.sleep(chance.uniform(0.02, 0.1))
                without_broker += cause(fault, site, broker, okta, chance)
            while not okta.has_finished:
                site.look_after()
                time.sleep(0.1)
        site.await_ready()
        site.await_none_stopped()
        counts = drain(inbox)
        statuses = site.stop()
    finally:
        site.close()
        broker.close()
        inbox.close()
    runs = read_runs(site.runs)
    findings = judge(
        runs, okta.acknowledged, site.deaths, in_hand=site.in_hand, suspended=site.suspended
    )
    messages = Counter(line.split()[1] for line in site.messages.read_text("utf-8").splitlines())
    receipts = len(RECEIVERS) * counts["done"]
    per_receipt = messages.total() / receipts
    wrong = findings.wrong
    wrong += [f"lost: {uuid}" for uuid in sorted(findings.lost)]
    wrong += [
        f"{state}: {counts[state]}" for state in ("pending", "claimed", "dead") if counts[state]
    ]
    wrong += _wrong_with(site, statuses, times_away=faults.count("broker away"))
    if per_receipt > most_messages:
        wrong.append(f"{messages.total()} messages for {receipts} receipts")
    if wrong:
        print(site.log.read_text(encoding="utf-8")[-20_000:])
    return {
        "broker": broker.url.partition(":")[0],
        "sent": okta.sent,
        "acknowledged": len(okta.acknowledged),
        "... without broker": without_broker,
        "handled": findings.handled,
        "lost": len(findings.lost),
        **Counter(faults),
        "workers given up": site.given_up,
        "in hand then": len(site.in_hand),
        "run twice": findings.run_twice,
        "receipts": receipts,
        "messages": messages.total(),
        "... per receipt": f"{per_receipt:.3f}",
        "slowest answer": f"{okta.slowest:.2f} s",
        "unanswered": okta.answers[None],
        "503": okta.answers[503],
        "seconds": round(time.monotonic() - began),
        "wrong": wrong,
    }

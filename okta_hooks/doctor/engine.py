"""What a task queue tells: its app and its tasks, its broker, its workers, and the relays that feed it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.workers import RELAY

from .check import failure, listed, ok, skipped, warning
from .storage import unseen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from okta_hooks.inbox.overview import ReceiverCounts
    from okta_hooks.inbox.workers import Listed
    from okta_hooks.state.engine import Consumer, Report

    from .check import Check

NAME: Final = "celery"
_START_WORKER: Final = "celery -A ... worker -Q"
#: Heartbeats take their time, and nothing here needs clocks to be closer.
_SECONDS_APART: Final = 2.0


def checks(report: Report | None, *, is_sqlite: bool) -> Iterator[Check]:
    """Look at the task queue itself.

    :param report: As :meth:`okta_hooks.state.engine.Engine.examine` returns it.
    :param is_sqlite: Whether the inbox is a file.
    """
    if is_sqlite:
        yield failure(
            NAME,
            "The inbox is an SQLite file, which only one process at a time runs receivers on.",
            "Set OKTA_HOOKS_INBOX to the URL of a PostgreSQL database.",
        )
    if report is None:
        yield failure(
            NAME,
            'OKTA_HOOKS_WORKER is "celery", and this app has no Celery app.',
            'Set app.extensions["celery"], as Flask\'s documentation does, '
            "or call okta_hooks.celery.connect(app, celery_app).",
        )
        return
    if not report.tasks:
        return
    yield from tasks(report)
    if report.is_eager:
        yield warning(
            "broker",
            "task_always_eager is set: receivers run in the relay, one after the other, and in no worker of Celery's.",
            "Unset it, but for tests.",
        )
        return
    yield broker(report)
    if report.away is None:
        yield from workers(report)


def tasks(report: Report) -> Iterator[Check]:
    """Look at whether each receiver has a task."""
    for receiver, reason in report.unusable.items():
        yield failure(
            NAME,
            f"The task {report.tasks[receiver]} cannot be used: {reason}.",
            "Give another name to a task of your own that has this one; "
            "and let task_routes and task_queues have the queue of each receiver.",
        )
    if not report.unusable:
        names = listed(sorted(report.tasks.values()))
        number = len(report.tasks)
        of_what = "the receiver" if number == 1 else f"each of {number} receivers"
        yield ok(NAME, f"There is a task for {of_what}: {names}.")


def broker(report: Report) -> Check:
    """Look at whether the broker can be reached."""
    name = "broker"
    kind = f" ({report.broker})" if report.broker else ""
    if report.away is None:
        return ok(name, f"The broker{kind} answers.")
    return failure(
        name,
        f"The broker{kind} cannot be reached from here: {report.away}. "
        "Deliveries are stored all the same, and receivers wait.",
        "Bring it back, or correct broker_url of the Celery app, and what it needs: "
        "the library, the password, the network.",
    )


def workers(report: Report) -> Iterator[Check]:
    """Look at whether Celery's workers take from each queue, and know its tasks."""
    name = "queues"
    by_queue: dict[str, list[str]] = {}
    for receiver, queue in report.queues.items():
        by_queue.setdefault(queue, []).append(receiver)
    if not by_queue:
        return
    if report.consumers is None:
        yield skipped(
            name,
            "Celery's workers cannot be asked: their remote control is off, or this kind of broker has none.",
        )
        return
    orphans = {
        queue: receivers
        for queue, receivers in sorted(by_queue.items())
        if not any(queue in each.queues for each in report.consumers)
    }
    if orphans:
        said = ", ".join(f"{queue} ({listed(sorted(orphans[queue]))})" for queue in orphans)
        yield failure(
            name,
            f"No worker of Celery's that answers takes from {said}."
            if report.consumers
            else f"None of Celery's workers answers: nobody takes from {said}.",
            f"Start one: {_START_WORKER} {','.join(orphans)}. One with the pool solo does not answer while it works.",
        )
    else:
        yield ok(name, f"Workers of Celery's take from {listed(sorted(by_queue))}.")
    yield from _unknown(report, report.consumers)


def _unknown(report: Report, consumers: Sequence[Consumer]) -> Iterator[Check]:
    for each in consumers:
        missing = sorted(
            report.tasks[receiver]
            for receiver, queue in report.queues.items()
            if queue in each.queues and report.tasks[receiver] not in each.tasks
        )
        if missing:
            yield failure(
                "tasks",
                f"{each.name} does not know {listed(missing)}, and takes from its queue: "
                "it runs other code than this, and drops what it gets.",
                "Restart Celery's workers after a deploy. What celery -A names must make the Flask app with its hooks.",
            )


def relays(
    living: Sequence[Listed],
    lanes: Sequence[ReceiverCounts],
    connected: Collection[str],
    now: float,
) -> Iterator[Check]:
    """Look at who gives to the task queue what is due.

    :param living: As :meth:`okta_hooks.inbox.workers.Workers.living` returns it.
    :param lanes: Of this hook, as :meth:`okta_hooks.inbox.overview.Overview.receivers` returns them.
    """
    name = "relay"
    if not connected:
        return
    found = [each for each in living if each.kind == RELAY]
    if not found:
        yield failure(
            name,
            "None is alive: nobody gives to Celery what is due.",
            "It starts with the app's first request, also one of a health check: is the app up? "
            "Or run flask okta-hooks relay.",
        )
        return
    away = _away(found)
    if away:
        said = ", ".join(f"{host} since {_iso(since)}" for host, since in sorted(away.items()))
        yield warning(
            name,
            f"The broker takes nothing from {said}.",
            "The log of the relay says why. It goes on trying.",
        )
    absent = unseen(lanes, connected, now)
    if absent:
        yield warning(
            name,
            f"{_alive(found)}, but without {listed(absent)}: it runs other code than this.",
            "Restart what runs the relay, after a deploy of all of it.",
        )
    elif not away:
        yield ok(name, f"{_alive(found)}, with every receiver of this app.")


def _alive(found: Sequence[Listed]) -> str:
    return "One is alive" if len(found) == 1 else f"{len(found)} are alive"


def _away(found: Sequence[Listed]) -> Mapping[str, float]:
    hosts: dict[str, float] = {}
    for each in found:
        if each.broker_away_since is not None:
            since = each.broker_away_since
            hosts[each.host] = min(since, hosts.get(each.host, since))
    return hosts


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def clocks(living: Sequence[Listed]) -> Iterator[Check]:
    """Look at whether the clocks of the workers' hosts agree with the database's.

    :param living: As :meth:`okta_hooks.inbox.workers.Workers.living` returns it.
    """
    name = "clock"
    hosts: dict[str, float] = {}
    for each in living:
        ahead = each.clock_ahead
        if ahead is not None and abs(ahead) >= abs(hosts.get(each.host, 0.0)):
            hosts[each.host] = ahead
    wrong = {host: ahead for host, ahead in hosts.items() if abs(ahead) > _SECONDS_APART}
    for host, ahead in sorted(wrong.items()):
        yield warning(
            name,
            f"The clock of {host} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's: "
            "what is stored there has a wrong time.",
            "Let NTP set the clocks of all hosts.",
        )
    if hosts and not wrong:
        yield ok(name, f"That of {listed(sorted(hosts))} is the database's, but for 2 s at most.")

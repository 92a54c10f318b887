"""The processes of the chaos with Celery: web processes, a relay of its own, and two Celery workers."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import sqlalchemy as sa

from okta_hooks.inbox.tables import CLAIMED, event, receipt, worker

from .celery_chaos_broker import QUEUES
from .chaos_site import PATIENCE, Site, children_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

POOLS: Final = ("celery-1", "celery-2")
PROCESSES_OF_A_POOL: Final = 2
#: The exit status of a Celery worker after an error that it cannot cope with.
_GIVEN_UP: Final = 1
_TRIES_TO_HIT: Final = 100
_SECONDS_TO_HIT: Final = 10.0


class CelerySite(Site):
    """Knows what each of its processes had in hand when it was killed: the inbox says so.

    :param end_leases: Do not wait until the leases of killed and stopped processes run out.
    """

    app: ClassVar[str] = "tests.acceptance.celery_chaos_app"

    def __init__(
        self, url: str, folder: Path, broker: str, *, window: int, resend: float, end_leases: bool
    ) -> None:
        super().__init__(url, folder)
        #: What was claimed at a kill or at the end of a lease: a process, a receiver and the uuid of an event.
        self.in_hand: set[tuple[int, str, str]] = set()
        self.suspended: set[int] = set()
        #: How many Celery workers have ended by themselves, and were started again.
        self.given_up = 0
        self.messages = folder / "runs-messages"
        self._stopped: set[int] = set()
        self._end_leases = end_leases
        self._engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        self._environment |= {
            "FLASK_BROKER": broker,
            "FLASK_OKTA_HOOKS_WORKER": "celery",
            "FLASK_OKTA_HOOKS_RELAY_WINDOW": str(window),
            "FLASK_OKTA_HOOKS_RELAY_RESEND": str(resend),
        }
        self._commands = {
            "gunicorn": self._commands["gunicorn"],
            "relay": ["flask", f"--app={self.app}", "okta-hooks", "relay"],
        }
        for name in POOLS:
            self._commands[name] = [
                *("celery", f"--app={self.app}:celery_app", "worker", f"--hostname={name}@%h"),
                *(f"--concurrency={PROCESSES_OF_A_POOL}", f"--queues={','.join(QUEUES)}"),
                "--loglevel=WARNING",
            ]

    def await_ready(self) -> None:
        """Wait until all processes are ready."""
        for name in self._commands:
            self.await_ready_of(name)

    def await_ready_of(self, name: str) -> None:
        """Wait until a process is ready."""

        def is_ready() -> bool:
            self.look_after_ended()
            return self._is_ready(name)

        _await(is_ready)

    def look_after(self) -> None:
        """Let processes go on that have lost their leases, and start again what has ended by itself."""
        self.look_after_stopped()
        self.look_after_ended()

    def look_after_ended(self) -> None:
        """Start Celery workers again that have ended by themselves, as a service manager does.

        Celery 5.7 gives up ("Unrecoverable error: AttributeError") if Redis goes away at a bad moment: kombu cannot
        close a channel then that holds messages, or in which a queue of the remote control's is to be deleted.
        """
        for name, process in self._processes.items():
            status = process.poll()
            if name in POOLS and status == _GIVEN_UP:
                self.given_up += 1
                self._start(name)
            elif status is not None:
                sys.exit(f"{name} ended with {status}:\n{self.log.read_text('utf-8')[-5000:]}")

    def kill_web(self, chance: random.Random) -> None:
        """Kill one of the processes that serve."""
        servers = self._await_children(["gunicorn"])
        self._kill_for_sure(chance.choice(servers))

    def kill_child(self, chance: random.Random) -> None:
        """Kill a process of a pool, one that has something in hand if there is one."""
        self._kill_for_sure(chance.choice(self._busy_children() or self._await_children(POOLS)))

    def kill_main(self, name: str) -> None:
        """Kill a process that this one has started, and start it again. The children of a Celery worker die with it."""
        self.await_ready_of(name)
        process = self._processes[name]
        children = children_of(process.pid)
        now = time.monotonic_ns()
        self._kill(process.pid)
        process.wait()
        if name in POOLS:
            for pid in children:
                # One that was forked off just now has not asked the system for that yet.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.deaths[pid] = now
                self._stopped.discard(pid)
            _await(lambda: not any(map(_is_alive, children)))
        else:
            self._orphans.update(children)
        for pid in (process.pid, *children):
            if name in POOLS or pid == process.pid:
                self._note_in_hand(pid)
        self._start(name)

    def stop_child(self, chance: random.Random) -> None:
        """Stop a process of a pool while it has something in hand, until its lease is over."""
        for _ in range(_TRIES_TO_HIT):
            for pid in self._busy_children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    _await(lambda pid=pid: _state(pid) in ("T", ""))  # type: ignore[misc] # of each turn
                    if self._claims(pid):
                        self._stopped.add(pid)
                        self.suspended.add(pid)
                        return
                    os.kill(pid, signal.SIGCONT)
            time.sleep(chance.uniform(0.01, 0.05))

    def _busy_children(self) -> list[int]:
        """Return the processes of pools that have something in hand; wait a while until one has."""
        children = self._await_children(POOLS)
        query = sa.select(receipt.c.worker).where(receipt.c.state == CLAIMED).distinct()
        give_up_at = time.monotonic() + _SECONDS_TO_HIT
        while time.monotonic() < give_up_at:
            with self._engine.connect() as connection:
                claiming = {int(str(each).split(":")[1]) for each in connection.scalars(query)}
            if found := sorted(claiming.intersection(children)):
                return found
            time.sleep(0.01)
        return []

    def look_after_stopped(self) -> None:
        """Let processes go on that have lost their leases."""
        for pid in list(self._stopped):
            # Its last statement may have been at work still when it was stopped.
            self._note_in_hand(pid)
            if not self._is_listed(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                self._stopped.discard(pid)

    def await_none_stopped(self) -> None:
        """Wait until all go on."""
        give_up_at = time.monotonic() + PATIENCE
        while self._stopped and time.monotonic() < give_up_at:
            self.look_after_stopped()
            time.sleep(0.1)

    def close(self) -> None:
        """Leave nothing behind."""
        for name in POOLS:
            if name in self._processes:
                self._orphans.update(children_of(self._processes[name].pid))
        super().close()
        self._engine.dispose()

    def _await_children(self, names: list[str] | tuple[str, ...]) -> list[int]:
        for name in names:
            self.await_ready_of(name)
        found: list[int] = []

        def is_there() -> bool:
            found[:] = sorted(
                pid
                for name in names
                for pid in children_of(self._processes[name].pid)
                if pid not in self._stopped and _is_alive(pid)
            )
            return bool(found)

        _await(is_there)
        return found

    def _is_ready(self, name: str) -> bool:
        return super()._is_ready(name) and (
            name not in POOLS or bool(children_of(self._processes[name].pid))
        )

    def _kill_for_sure(self, pid: int) -> None:
        self._kill(pid)
        _await(lambda: not _is_alive(pid))
        self._note_in_hand(pid)

    def _note_in_hand(self, pid: int) -> None:
        """Write down what a process holds that runs no more. All that it has begun and not settled was claimed."""
        self.in_hand.update((pid, receiver, uuid) for receiver, uuid in self._claims(pid))
        if self._end_leases:
            with self._engine.begin() as connection:
                connection.execute(
                    worker.update().where(_is_of(worker.c.id, pid)).values(alive_until=0)
                )

    def _claims(self, pid: int) -> list[tuple[str, str]]:
        query = (
            sa.select(receipt.c.receiver, event.c.key)
            .join(event, event.c.id == receipt.c.event_id)
            .where(receipt.c.state == CLAIMED, _is_of(receipt.c.worker, pid))
        )
        with self._engine.connect() as connection:
            return [(row.receiver, row.key) for row in connection.execute(query)]

    def _is_listed(self, pid: int) -> bool:
        query = sa.select(worker.c.id).where(_is_of(worker.c.id, pid))
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None


def _is_of(column: sa.Column[str], pid: int) -> sa.ColumnElement[bool]:
    return column.like(f"%:{pid}:%")


def _state(pid: int) -> str:
    """Return the state of a process, as the system calls it; none if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][:1]
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    return _state(pid) not in ("", "Z", "X")


def _await(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up_at:
            sys.exit(f"This did not happen within {PATIENCE:g} s: {condition}")
        time.sleep(0.01)

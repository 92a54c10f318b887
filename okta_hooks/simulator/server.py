"""An org that listens, and delivers as time passes."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from werkzeug.serving import WSGIRequestHandler, make_server

from okta_hooks.logs import plain_logger
from okta_hooks.threads import start_thread
from okta_hooks.wire.limits import MOST_ACTIVE_HOOKS

from .api import create_app

if TYPE_CHECKING:
    from types import TracebackType

    from werkzeug.serving import BaseWSGIServer

    from .org import Org

logger = plain_logger(__name__)

#: How often the server looks whether it is to stop.
_SECONDS_TO_NOTICE: Final = 0.05


class Simulator:
    """An org that listens on 127.0.0.1, and delivers as time passes. It is a context manager.

    It answers nobody but this machine: not a web page from elsewhere that a browser on it has open.

    :param org: The org. It takes on the URL when it starts.
    :param port: The port; 0 leaves the choice to the system.
    :param rate_limits: Requests a minute, by the beginning of the path: the longest that fits counts.
    """

    def __init__(
        self, org: Org, *, port: int = 0, rate_limits: dict[str, int] | None = None
    ) -> None:
        self.org = org
        self.port = port
        self.app = create_app(org, rate_limits)
        self._stopping = threading.Event()
        self._server: BaseWSGIServer | None = None
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The org's URL, without a slash at its end."""
        return self.org.url

    def start(self) -> None:
        """Begin to listen and to deliver.

        :raises OSError: if the port cannot be had.
        """
        # Given a port that is taken, werkzeug would end the process.
        with socket.create_server(("127.0.0.1", self.port)) as listening:
            self.port = listening.getsockname()[1]
            self._server = make_server(
                "127.0.0.1",
                self.port,
                self.app,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
        self.org.url = f"http://127.0.0.1:{self.port}"
        self._stopping.clear()
        self._threads = [
            # A program that has started an org goes on until it stops it.
            start_thread(
                self._server.serve_forever,
                _SECONDS_TO_NOTICE,
                name="okta-hooks-simulator",
                daemon=False,
            ),
            *(
                start_thread(
                    self.org.keep_delivering,
                    self._stopping,
                    name=f"okta-hooks-simulator-{number}",
                    daemon=False,
                )
                # One for each active hook, so that hooks that hang delay no other.
                for number in range(MOST_ACTIVE_HOOKS)
            ),
        ]

    def stop(self) -> None:
        """Finish the deliveries in hand, and stop. What is pending is not sent, and no fault of the API is left."""
        if self._server is None:
            return
        self._stopping.set()
        self.org.wake()
        self._server.shutdown()
        # Nobody waits any more for answers that are late.
        self.org.api_faults.clear()
        for thread in self._threads:
            thread.join()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _QuietHandler(WSGIRequestHandler):
    """Logs requests for whoever wants to know; werkzeug would write them to stderr."""

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer, without the host's own ``Date``: the org tells its time."""
        self.log_request(code)
        self.send_response_only(code, message)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 - werkzeug's
        logger.debug("The API: %(request)s", {"request": message % args if args else message})

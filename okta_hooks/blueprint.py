"""The Flask side: ``EventHook`` is a blueprint with two views. What they do is in :mod:`okta_hooks.endpoint`.

Whatever fails there is answered here: an exception would go to the host's error handlers, and one of them
may answer OK.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint

from . import receivers, signals
from .exceptions import ConfigurationError
from .logs import plain_logger
from .problem import problem
from .state import EXTENSION, AppState, app_object, engine, registration, script, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Response
    from flask.sansio.app import App

    from .catalog import EventType

logger = plain_logger(__name__)

F = TypeVar("F", bound="Callable[..., Any]")


class EventHook(Blueprint):
    """A blueprint that receives one event hook.

    :param name: The hook's name: the blueprint's, the key in a mapping of secrets, the name in the inbox.
        It stays the same under whatever dotted name the blueprint is nested.
    :param url_prefix: Where Okta posts to. It answers with and without a trailing slash.
    """

    def __init__(self, name: str, *, url_prefix: str = "/okta/events") -> None:
        super().__init__(name, __name__, url_prefix=url_prefix)
        self.receivers = receivers.Receivers()
        script.remember(self, sys._getframe(1))  # noqa: SLF001 - documented, for such purposes
        # Okta follows no redirect, so neither form of the URL may answer with one. The rule is the prefix as it is:
        # with a slash after it, Werkzeug would answer 404 to another method at the form without.
        self.add_url_rule("", "verify", self._verify, methods=["GET"], strict_slashes=False)
        self.add_url_rule("", "receive", self._receive, methods=["POST"], strict_slashes=False)

    def on(
        self,
        *patterns: EventType | str,
        name: str | None = None,
        concurrency: int = 1,
        timeout: float | None = None,
        queue: str | None = None,
    ) -> Callable[[F], F]:
        """Connect the decorated receiver to event types, strongly, and return it unchanged.

        It is called as ``receiver(app, event=..., delivery=..., hook=..., attempt=...)``, once per event,
        in an application context of its own. More arguments may come: take ``**extra``.

        :param patterns: Event types (``user.lifecycle.create``), prefixes of whole segments
            (``user.lifecycle.*``), or ``*``.
        :param name: The name by which the inbox remembers what this receiver has done;
            by default its module and qualified name. Give one to whatever you may rename or move.
        :param concurrency: How many events it may have in hand at once in one worker.
        :param timeout: How many seconds it may run: after that the attempt counts as failed, and the next event
            has its turn. Nothing can end a thread, so what it is doing goes on; its outcome is not looked at.
        :param queue: The name of the queue that it belongs to: ``flask okta-hooks worker --queue slow`` runs only
            the receivers of this one.
        :raises TypeError: if there is no pattern, a pattern or ``queue`` is no string,
            or the receiver cannot be called so.
        :raises ValueError: if a pattern is malformed, ``concurrency`` below 1, ``timeout`` not above 0,
            ``name`` taken, empty or with a NUL or a surrogate, ``queue`` empty or with blanks around it,
            or the receiver in another queue already.
        :warns UnknownEventTypeWarning: if Okta is not known to deliver anything under a pattern.
        """
        if not patterns:
            raise TypeError('on() takes at least one pattern: @okta.on("user.lifecycle.create")')
        receivers.check_patterns(patterns)
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency!r}.")
        if timeout is not None and not 0 < timeout < float("inf"):
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}.")
        if queue is not None:
            receivers.check_queue(queue)
        for pattern in patterns:
            receivers.warn_if_unknown(receivers.check_pattern(pattern), stacklevel=2)

        def connect(receiver: F) -> F:
            self.receivers.connect(
                receiver,
                patterns,
                name=name,
                concurrency=concurrency,
                timeout=timeout,
                queue=queue,
            )
            return receiver

        return connect

    def signal(self, pattern: EventType | str) -> NamedSignal:
        """Return the blinker signal of a pattern.

        It is for ``connect``, ``connect_via``, ``connected_to`` and ``muted``.
        Mind that its ``connect`` keeps only a weak reference to the receiver.

        :param pattern: As for :meth:`on`.
        :raises TypeError: if it is no string.
        :raises ValueError: if it is malformed.
        """
        return self.receivers.signal(pattern)

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register with an app, as :meth:`flask.Flask.register_blueprint` asks a blueprint to.

        :raises RuntimeError: if the configuration cannot be right, the app has a hook of this name,
            the URL has variables or belongs to another endpoint, or the inbox cannot be opened and written here.
        """
        host = registration.flask_app(app)
        # Before the blueprint's own part, which refuses an equal name in words that name no cure for hooks.
        state = host.extensions.get(EXTENSION) or AppState(host)
        parent, own = options.get("name_prefix", ""), options.get("name", self.name)
        endpoint = f"{parent}.{own}.receive".lstrip(".")
        if state.hooks.get(self.name) is self and endpoint in host.view_functions:
            raise ConfigurationError(
                f"The hook {self.name!r} is already registered with this app: once is enough. "
                "At a second URL it needs a second name: register_blueprint(hook, name=..., url_prefix=...)."
            )
        prefix, subdomain = options.get("url_prefix"), options.get("subdomain")
        prefix = (self.url_prefix if prefix is None else prefix) or "/"
        registration.check_url(
            host,
            self.name,
            prefix,
            self.subdomain if subdomain is None else subdomain,
        )
        registration.check_inbox(host, state.settings.inbox)
        engine.check(host, state.settings)
        state.add(self, endpoint)
        host.extensions[EXTENSION] = state
        super().register(app, {**options, "url_prefix": prefix})

    def prepare(self) -> None:
        """Import what answering takes: what starts a process's work calls this."""
        from . import endpoint  # an app starts without what it imports

        endpoint.prepare()

    def _verify(self, **_: Any) -> Response:
        """Answer Okta's verification: the view of GET."""
        try:
            from . import endpoint  # an app starts without what it imports

            answer = endpoint.verify(self)
        except BaseException as error:  # whatever it is gets an answer
            _raise_order(error)
            with suppress(Exception):  # a filter of the host's may be what failed
                logger.exception(
                    "The verification of the hook %(hook)r failed.",
                    {"hook": self.name},
                )
            answer = _failure()
        return _as_it_is(answer)

    def _receive(self, **_: Any) -> Response:
        """Take a delivery: the view of POST."""
        try:
            from . import endpoint  # an app starts without what it imports

            answer = endpoint.receive(self)
        except BaseException as error:  # whatever it is gets an answer
            _raise_order(error)
            with suppress(Exception):  # a filter of the host's may be what failed
                logger.exception(
                    "A delivery to the hook %(hook)r was not stored.",
                    {"hook": self.name},
                )
            answer = _failure()
            app = app_object()
            with suppress(Exception):  # this may be what failed
                state_of(app).count_refused(self.name, answer.status_code)
            signals.notify(
                signals.delivery_refused,
                app,
                hook=self,
                status=answer.status_code,
                reason=type(error).__name__,
            )
        if isinstance(answer, BaseException):
            raise answer
        return _as_it_is(answer)


def _as_it_is(answer: Response) -> Response:
    """Let no browser take an answer for something else than it says it is."""
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _raise_order(error: BaseException) -> None:
    """Raise an order to end again."""
    if _is_order(error):
        raise error


def _failure() -> Response:
    """Return the answer to an unexpected failure."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "It failed: see the app's log.")


def _is_order(error: BaseException) -> bool:
    """Return whether this is how the server, or Ctrl-C, tells this thread or greenlet to end."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return threading.current_thread() is threading.main_thread()
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and isinstance(error, greenlet.GreenletExit)

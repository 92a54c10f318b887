"""The Flask side: ``EventHook`` is a blueprint with two views. Nothing else knows status codes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import threading
import time
import weakref
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, request, request_started
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import BuildError

from . import receivers, settings, signals
from .exceptions import InboxUnavailable, UnreadableDelivery
from .wire import protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask.sansio.app import App

    from .catalog import EventType
    from .inbox.claims import NewDelivery
    from .state import Runtime
    from .wire.events import Delivery, Envelope

logger = logging.getLogger(__name__)

EXTENSION: Final = "okta_hooks"
_SECONDS_BETWEEN_WARNINGS: Final = 60
_BEGAN: Final = "okta_hooks.began"
# Okta waits 3 s.
_SECONDS_TO_STORE: Final = 2.0
_WALL_CLOCK: Final = time.time

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
        # Okta follows no redirect, so neither form of the URL may answer with one.
        self.add_url_rule("/", "verify", self._verify, methods=["GET"], strict_slashes=False)
        self.add_url_rule("/", "receive", self._receive, methods=["POST"], strict_slashes=False)

    def on(
        self,
        *patterns: EventType | str,
        name: str | None = None,
        concurrency: int = 1,
    ) -> Callable[[F], F]:
        """Connect the decorated receiver to event types, strongly, and return it unchanged.

        It is called as ``receiver(app, event=..., delivery=..., hook=..., attempt=...)``, once per event,
        in an application context of its own. More arguments may come: take ``**extra``.

        :param patterns: Event types (``user.lifecycle.create``), prefixes of whole segments
            (``user.lifecycle.*``), or ``*``.
        :param name: The name by which the inbox remembers what this receiver has done;
            by default its module and qualified name. Give one to whatever you may rename or move.
        :param concurrency: How many events it may have in hand at once in one worker.
        :raises TypeError: if there is no pattern, or one is no string.
        :raises ValueError: if a pattern is malformed, ``concurrency`` below 1, or ``name`` taken.
        :warns UnknownEventTypeWarning: if Okta is not known to deliver anything under a pattern.
        """
        if not patterns:
            raise TypeError('on() takes at least one pattern: @okta.on("user.lifecycle.create")')
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency!r}.")
        for pattern in patterns:
            receivers.warn_if_unknown(receivers.check_pattern(pattern), stacklevel=2)

        def connect(receiver: F) -> F:
            self.receivers.connect(receiver, patterns, name=name, concurrency=concurrency)
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

        :raises RuntimeError: if the configuration cannot be right, or the app has a hook of this name.
        """
        # Before the blueprint's own part, which refuses an equal name in words that name no cure for hooks.
        self._set_up(app)
        super().register(app, options)

    def _set_up(self, app: App) -> None:
        state = app.extensions.get(EXTENSION) or AppState(cast("Flask", app))
        if state.hooks.get(self.name, self) is not self:
            raise RuntimeError(
                f"This app already has a hook named {self.name!r}. "
                "Give one of the two another name: EventHook(name)."
            )
        secrets = settings.secrets_of(state.settings, self.name)
        state.secrets[self.name] = secrets
        state.secret_lists[self.name] = protocol.tag_of(secrets)
        state.hooks[self.name] = self
        app.extensions[EXTENSION] = state

    # The views return every refusal: an exception would go to the host's error handlers,
    # which may turn it into a redirect to a login page, or into an OK.

    def _verify(self) -> Response:
        challenge = request.headers.get(protocol.CHALLENGE_HEADER, "")
        if not 0 < len(challenge) <= protocol.LONGEST_CHALLENGE:
            return _problem(
                HTTPStatus.BAD_REQUEST,
                "This is the endpoint of an Okta event hook: it answers to POST, and to a GET with "
                f"{protocol.CHALLENGE_HEADER} of at most {protocol.LONGEST_CHALLENGE} characters.",
            )
        app, state = _app_and_state()
        presented = _presented(state.settings)
        if presented is not None and not self._is_authentic(state, self._matched(state, presented)):
            return self._refuse_secret(state, presented)
        logger.info("The verification of the hook %r was answered.", self.name)
        signals.notify(signals.hook_verified, app, hook=self)
        return Response(
            protocol.answer_challenge(challenge),
            mimetype="application/json",
            headers={"Cache-Control": "no-store"},
        )

    def _receive(self) -> Response:
        # Here, to keep `import okta_hooks` fast: the event classes and marshmallow take most of it.
        from .wire import reading  # noqa: PLC0415
        from .wire.events import Delivery  # noqa: PLC0415

        app, state = _app_and_state()
        # One byte more: of a chunked body Werkzeug reads as much as it may, and does not tell of the rest.
        request.max_content_length = state.settings.max_body + 1
        presented = _presented(state.settings)
        secret = self._matched(state, presented)
        if not self._is_authentic(state, secret):
            _drain()
            return self._announce(app, self._refuse_secret(state, presented), "wrong secret")
        try:
            envelope = reading.load_delivery(
                _body(state.settings.max_body), keys_only=state.settings.inbox is not None
            )
        except UnreadableDelivery as error:
            return self._refuse(app, HTTPStatus.BAD_REQUEST, error.reason)
        except RequestEntityTooLarge:
            limit = f"The body is larger than OKTA_HOOKS_MAX_BODY, {state.settings.max_body} bytes."
            return self._refuse(app, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit)
        except (HTTPException, OSError):
            return self._refuse(app, HTTPStatus.BAD_REQUEST, "The body broke off.")
        delivery = Delivery(
            event_id=envelope.event_id,
            source=envelope.source,
            via="hook",
            received_at=datetime.now(UTC),
        )
        if state.settings.inbox is None:
            return self._run_in_request(app, envelope, delivery)
        from .inbox import claims  # noqa: PLC0415

        new = claims.incoming(
            self.name,
            envelope,
            delivery,
            secret=secret,
            secret_list=state.secret_lists[self.name],
        )
        # What was read goes before the wait: of many requests at once it would fill the caches.
        del envelope
        return self._store(app, state, new)

    def _store(self, app: Flask, state: AppState, new: NewDelivery) -> Response:
        from .work import dispatch  # noqa: PLC0415

        try:
            began = request.environ.get(_BEGAN, time.monotonic())
            runtime = state.runtime()
            left = _SECONDS_TO_STORE - (time.monotonic() - began)
            stored = runtime.writer.store(new, max(left, 0.1))
        except InboxUnavailable as error:
            # The one answer that makes Okta send the delivery again.
            logger.error("A delivery to the hook %r was not stored: %s", self.name, error)  # noqa: TRY400
            return self._unavailable(app, error.reason)
        except Exception as error:
            # Not to the host's error handlers, whatever it is: one of them may answer OK.
            logger.exception("A delivery to the hook %r was not stored.", self.name)
            return self._unavailable(app, type(error).__name__)
        logger.info(
            "A delivery to the hook %r: %d new, %d duplicate.",
            self.name,
            stored.new,
            stored.duplicate,
        )
        dispatch.tell_stored(
            app,
            hook=self,
            delivery=new.delivery,
            new=stored.new,
            duplicate=stored.duplicate,
            dead=stored.dead,
        )
        return Response(status=HTTPStatus.NO_CONTENT)

    def _unavailable(self, app: Flask, reason: str) -> Response:
        refusal = _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The inbox did not take it in time.")
        return self._announce(app, refusal, reason)

    def _run_in_request(self, app: Flask, envelope: Envelope, delivery: Delivery) -> Response:
        from .work import dispatch  # noqa: PLC0415

        failures = dispatch.run_delivery(app, self, delivery, envelope.events)
        if not failures:
            return Response(status=HTTPStatus.NO_CONTENT)
        group = BaseExceptionGroup("Receivers failed", failures)
        logger.error("Receivers failed, %d times in one delivery.", len(failures), exc_info=group)
        if app.testing:
            raise group
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "A receiver failed: see the app's log.")

    def _matched(self, state: AppState, presented: bytes | None) -> int | None:
        """Return the place of the secret that was presented, or None."""
        return protocol.authenticate(presented or b"", state.secrets[self.name])

    def _is_authentic(self, state: AppState, secret: int | None) -> bool:
        return secret is not None or not state.secrets[self.name]

    def _refuse_secret(self, state: AppState, presented: bytes | None) -> Response:
        count = state.refusals.add(time.monotonic())
        if count:
            logger.warning(
                "%d requests to the hook %r had no right secret in %s; the last: %s",
                count,
                self.name,
                state.settings.auth_header,
                protocol.hint(presented, state.secrets[self.name]),
            )
        return _problem(
            HTTPStatus.UNAUTHORIZED,
            f"The header {state.settings.auth_header} must hold the secret that is configured here, "
            "and nothing else. The app's log has a hint.",
        )

    def _refuse(self, app: Flask, status: HTTPStatus, reason: str) -> Response:
        logger.warning("A delivery to the hook %r was refused: %s", self.name, reason)
        return self._announce(app, _problem(status, reason), reason)

    def _announce(self, app: Flask, refusal: Response, reason: str) -> Response:
        signals.notify(
            signals.delivery_refused, app, hook=self, status=refusal.status_code, reason=reason
        )
        return refusal


class _Refusals:
    """Counts wrong secrets, so that a stranger cannot fill the log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._quiet_until: float | None = None

    def add(self, now: float) -> int:
        """Count one; return how many to warn of, or 0 if the last warning was within a minute."""
        with self._lock:
            self._count += 1
            if self._quiet_until is not None and now < self._quiet_until:
                return 0
            count, self._count = self._count, 0
            self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
            return count


class AppState:
    """What one app has of this library, in ``app.extensions["okta_hooks"]``."""

    def __init__(self, app: Flask) -> None:
        self.settings = settings.read(app.config)
        self.hooks: dict[str, EventHook] = {}
        self.secrets: dict[str, tuple[str, ...]] = {}
        self.secret_lists: dict[str, int] = {}
        self.refusals = _Refusals()
        self._app = weakref.ref(app)
        self._clock: Callable[[], float] = _WALL_CLOCK
        self._jitter: Callable[[], float] = random.random
        self._runtime: Runtime | None = None
        self._pid_at_work: int | None = None
        self._lock = threading.Lock()
        if self.settings.inbox is not None:
            # Weakly, so that apps of a test suite can go. Earlier than any `before_request` of the host.
            request_started.connect(self._on_request, sender=app)

    def url_of(self, hook: str) -> str:
        """Return a URL at which this app takes deliveries to a hook, for requests within the process.

        :param hook: The hook's name.
        :raises RuntimeError: if there is none, or it has variable parts.
        """
        app = self._the_app()
        receive = self.hooks[hook]._receive  # noqa: SLF001
        endpoint = next(name for name, view in app.view_functions.items() if view == receive)
        tried = []
        for host in _hosts(app):
            adapter = app.url_map.bind(host, app.config["APPLICATION_ROOT"], url_scheme="https")
            try:
                tried.append(adapter.build(endpoint, force_external=True))
            except BuildError as error:
                (rule, *_) = app.url_map.iter_rules(endpoint)
                raise RuntimeError(
                    f"The URL of the hook {hook!r} has variable parts: {rule.rule!r}."
                ) from error
            if _is_at(app, tried[-1], endpoint):
                return tried[-1]
        raise RuntimeError(
            f"This app does not answer for the hook {hook!r} at {' or '.join(tried)}. That depends on "
            "its subdomain_matching, host_matching, SERVER_NAME and TRUSTED_HOSTS."
        )

    def path_of(self, hook: str) -> str | None:
        """Return the path of :meth:`url_of`, without a slash at its end, or None if there is no such URL."""
        with contextlib.suppress(RuntimeError):
            return urlsplit(self.url_of(hook)).path.rstrip("/") or "/"
        return None

    def configure(
        self,
        *,
        inbox: str | None,
        worker: str,
        clock: Callable[[], float] = _WALL_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Use another inbox or worker from now on: for tests, and for commands that post to their own app.

        :param clock: The inbox's.
        :param jitter: The worker's: see :func:`okta_hooks.work.worker.back_off`.
        """
        with self._lock:
            runtime = self._take_runtime()
            self.settings = replace(self.settings, inbox=inbox, worker=worker)
            self._clock, self._jitter = clock, jitter
        if runtime is not None:
            runtime.close()

    def close(self) -> None:
        """Stop what this process has at work. It starts again with the next request."""
        with self._lock:
            runtime = self._take_runtime()
        # Receivers may be running: requests must not wait for them. What a request starts meanwhile
        # gets the lease when this gives it up.
        if runtime is not None:
            runtime.close()

    def _take_runtime(self) -> Runtime | None:
        """Forget the runtime, and return it if it is this process's to close."""
        runtime, self._runtime, self._pid_at_work = self._runtime, None, None
        return runtime if runtime is not None and runtime.pid == os.getpid() else None

    def _the_app(self) -> Flask:
        app = self._app()
        assert app is not None  # noqa: S101 - it is the one that asks
        return app

    def runtime(self) -> Runtime:
        """Return what this process has at work; nothing is opened yet.

        :raises InboxUnavailable: if the inbox's URL or its driver are not as they should be.
        :raises RuntimeError: if there is no inbox.
        """
        with self._lock:
            if self._runtime is None or self._runtime.pid != os.getpid():
                from .state import Runtime  # noqa: PLC0415 - SQLAlchemy

                self._runtime = Runtime(
                    self._the_app(),
                    self.settings,
                    self.hooks,
                    clock=self._clock,
                    jitter=self._jitter,
                )
            return self._runtime

    def _on_request(self, app: Flask, **_: Any) -> None:
        if self.settings.inbox is None or app.testing or self._pid_at_work == os.getpid():
            return
        # The first request of a process imports SQLAlchemy: that counts as time that Okta has waited.
        request.environ[_BEGAN] = time.monotonic()
        try:
            runtime = self.runtime()
            runtime.writer.start()
            if self.settings.worker == "thread":
                runtime.work()
            with self._lock:
                # It may have been closed meanwhile: then the next request has another to start.
                if self._runtime is runtime:
                    self._pid_at_work = os.getpid()
        except InboxUnavailable as error:
            logger.error("The inbox cannot be used: %s", error)  # noqa: TRY400
        except Exception:
            # Whatever it is, the host's other pages have nothing to do with it; the next request tries again.
            logger.exception("The inbox cannot be used.")


def _app_and_state() -> tuple[Flask, AppState]:
    # The object itself: blinker tells senders apart by identity, and the proxy has one of its own.
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001
    return app, app.extensions[EXTENSION]


def _hosts(app: Flask) -> list[str]:
    """Return the names by which the app may be called, the best first."""
    server_name: str | None = app.config["SERVER_NAME"]
    if server_name and app.subdomain_matching:
        return [server_name]
    trusted: str | list[str] = app.config["TRUSTED_HOSTS"] or []
    listed = [trusted] if isinstance(trusted, str) else trusted
    # One that begins with a dot stands for itself, too.
    return [server_name or "localhost", *(name.removeprefix(".") for name in listed)]


def _is_at(app: Flask, url: str, endpoint: str) -> bool:
    """Return whether a POST to a URL comes to an endpoint of the app's."""
    from werkzeug.test import EnvironBuilder  # noqa: PLC0415 - not in production

    parts = urlsplit(url)
    if not parts.netloc:  # host_matching, and a rule without a host: no request has none
        return False
    path = parts.path.removeprefix(app.config["APPLICATION_ROOT"].rstrip("/"))
    environ = EnvironBuilder(path, f"https://{parts.netloc}", method="POST").get_environ()
    try:
        adapter = app.create_url_adapter(app.request_class(environ))
        return adapter is not None and adapter.match(method="POST")[0] == endpoint
    except HTTPException:  # such as a host that is not trusted
        return False


def _presented(config: settings.Settings) -> bytes | None:
    """Return the raw bytes of the header that holds the secret; WSGI has them as Latin-1."""
    value = request.environ.get("HTTP_" + config.auth_header.upper().replace("-", "_"))
    if value is None:
        return None
    try:
        return cast("str", value).encode("latin-1")
    except UnicodeEncodeError:  # from a client that calls the app without a server between
        return cast("str", value).encode()


def _body(longest: int) -> bytes:
    body = request.get_data(cache=False)
    if len(body) > longest:
        raise RequestEntityTooLarge
    return body


def _drain() -> None:
    """Read the body and forget it: closing on unread data resets the connection and loses the answer."""
    try:
        while request.stream.read(65536):
            pass
    except (HTTPException, OSError):
        pass


def _problem(status: HTTPStatus, detail: str) -> Response:
    """Return a refusal as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    return Response(
        json.dumps(body),
        status=status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )

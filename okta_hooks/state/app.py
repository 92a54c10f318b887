"""The state of one app: its settings, its hooks and their secrets, and the runtime of this process."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from flask import current_app, request, request_started

from okta_hooks import settings
from okta_hooks.clocks import boot_time
from okta_hooks.exceptions import ConfigurationError, InboxUnavailable
from okta_hooks.forks import in_children
from okta_hooks.host_code import contained
from okta_hooks.logs import plain_logger
from okta_hooks.wire import protocol
from okta_hooks.wire.protocol import path_of

from . import engine, platform, script
from .presented import hidden
from .refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks.receivers import Hook
    from okta_hooks.secret import Secret

    from .runtime import Runtime

logger = plain_logger(__name__)

EXTENSION: Final = "okta_hooks"
#: The key of the WSGI environment under which the monotonic time stands at which a request came in.
BEGAN: Final = "okta_hooks.began"


def app_object() -> Flask:
    """Return the current app itself: blinker tells senders apart by identity, and the proxy has one of its own."""
    return cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001 - Flask's documented way


def state_of(app: Flask) -> AppState:
    """Return what an app has of this library.

    :raises RuntimeError: if no hook is registered in it.
    """
    state: AppState | None = app.extensions.get(EXTENSION)
    if state is None:
        raise ConfigurationError(
            "No hook is registered in this app: app.register_blueprint(EventHook(name))."
        )
    return state


#: The states of this process, and what the children of a process have inherited and must leave alone.
_states: weakref.WeakSet[AppState] = weakref.WeakSet()
_inherited: list[Runtime] = []


def _begin_anew() -> None:
    for state in list(_states):
        state.begin_anew()


in_children(_begin_anew)


class Reconfigured:
    """A context manager that undoes :meth:`AppState.configure`."""

    def __init__(self, restore: Callable[[], None]) -> None:
        self._restore = restore

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Put back what was before."""
        self._restore()


class AppState:
    """What one app has of this library: see :func:`okta_hooks.state_of`.

    ``settings`` are the app's, ``hooks`` its hooks by name, ``secrets`` the live secrets of each, and
    ``secret_lists`` the tag of each list of them. ``refusals`` counts requests without a right secret.
    """

    def __init__(self, app: Flask) -> None:
        self.settings = settings.read(app.config)
        #: As they were read; None once they have been compared with what became of them.
        self._as_read: dict[str, bytes] | None = settings.digests(app.config)
        self.hooks: dict[str, Hook] = {}
        self.secrets: dict[str, tuple[Secret, ...]] = {}
        self.secret_lists: dict[str, int] = {}
        self.refusals = Refusals()
        self._endpoints: dict[str, str] = {}
        self._app = weakref.ref(app)
        self._clock: Callable[[], float] = time.time
        self._elapsed: Callable[[], float] = boot_time
        self._jitter: Callable[[], float] = random.random
        self._runtime: Runtime | None = None
        self._pid_at_work: int | None = None
        self._lock = threading.Lock()
        self._without_receiver: set[str] = set()
        _states.add(self)
        # Weakly, so that apps of a test suite can go. Earlier than any `before_request` of the host.
        request_started.connect(self._on_request, sender=app)

    def add(self, hook: Hook, endpoint: str) -> None:
        """Take a hook in.

        :param endpoint: The name of the endpoint that takes its deliveries.
        :raises RuntimeError: if the app has another of its name, or its secret cannot be right.
        """
        if self.hooks.get(hook.name, hook) is not hook:
            raise ConfigurationError(
                f"This app already has a hook named {hook.name!r}. "
                "Give one of the two another name: EventHook(name)."
            )
        secrets = settings.secrets_of(self.settings, hook.name)
        self.secrets[hook.name] = secrets
        self.secret_lists[hook.name] = protocol.tag_of(secrets)
        self.hooks[hook.name] = hook
        self._endpoints.setdefault(hook.name, endpoint)
        loaded = engine.load(self.settings)
        if loaded is not None:
            loaded.add_hook(self._the_app(), hook)

    def url_of(self, hook: str) -> str:
        """Return a URL at which this app takes deliveries to a hook, for requests within the process.

        :param hook: The hook's name.
        :raises RuntimeError: if there is none.
        """
        from . import urls  # werkzeug.test, which production does not need

        return urls.url_of(self._the_app(), hook, self._endpoints[hook])

    def path_of(self, hook: str) -> str | None:
        """Return the path of :meth:`url_of`, without a slash at its end, or None if there is no such URL."""
        with contextlib.suppress(RuntimeError):
            return path_of(self.url_of(hook))
        return None

    def configure(
        self,
        *,
        inbox: str | Secret | None,
        worker: str,
        clock: Callable[[], float] | None = None,
        elapsed: Callable[[], float] | None = None,
        jitter: Callable[[], float] | None = None,
    ) -> Reconfigured:
        """Use another inbox or worker from now on: for tests, and for commands that post to their own app.

        What is returned is a context manager: at its end everything is as it was before.

        :param clock: The inbox's: see :class:`okta_hooks.inbox.Inbox`; None leaves it as it is.
        :param elapsed: The inbox's, too; None is as ``clock``, so that a test has one time for everything.
        :param jitter: The worker's: see :func:`okta_hooks.work.retry.back_off`; None leaves it as it is.
        """
        before = self.settings, self._clock, self._elapsed, self._jitter
        changed = replace(self.settings, inbox=settings.inbox_url(inbox), worker=worker)
        self._use(
            changed,
            clock or self._clock,
            elapsed or clock or self._elapsed,
            jitter or self._jitter,
        )
        return Reconfigured(lambda: self._use(*before))

    def _use(
        self,
        settings: settings.Settings,
        clock: Callable[[], float],
        elapsed: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        with self._lock:
            runtime = self._take_runtime()
            self.settings, self._jitter = settings, jitter
            self._clock, self._elapsed = clock, elapsed
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

    def begin_anew(self) -> None:
        """Forget what the parent of this process has at work, in a child that was forked off."""
        # A thread that held it may not have come along.
        self._lock = threading.Lock()
        if self._runtime is not None:
            # Kept: a connection that nobody refers to any more is closed, and with it the parent's.
            _inherited.append(self._runtime)
        self._runtime, self._pid_at_work = None, None

    def _the_app(self) -> Flask:
        app = self._app()
        if app is None:
            raise RuntimeError("The app of this state is gone.")
        return app

    def runtime(self) -> Runtime:
        """Return what this process has at work; nothing is opened yet.

        :raises InboxUnavailable: if the inbox's URL or its driver are not as they should be.
        :raises RuntimeError: if there is no inbox.
        """
        with self._lock:
            if self._runtime is None or self._runtime.pid != os.getpid():
                from .runtime import Runtime  # SQLAlchemy

                self._runtime = Runtime(
                    self._the_app(),
                    self.settings,
                    self.hooks,
                    clock=self._clock,
                    elapsed=self._elapsed,
                    jitter=self._jitter,
                )
            return self._runtime

    def tell_of_changes(self, app: Flask) -> None:
        """Warn of keys that were set too late, unless that was looked for before: nothing reads them again."""
        as_read, self._as_read = self._as_read, None
        changed = [] if as_read is None else settings.changed_keys(as_read, app.config)
        if changed:
            logger.warning(
                "%(keys)s changed after the hook was registered, and nothing reads that again: "
                "configure the app before app.register_blueprint(...).",
                {"keys": ", ".join(changed)},
            )

    def _tell_of_script(self, app: Flask) -> None:
        """Log what keeps receivers of this process from their events, or others from what these have begun."""
        if self.settings.inbox is None or self.settings.worker != settings.EXTERNAL:
            script.tell_of_second_copy(self.hooks)
        if self.settings.inbox is not None and self.settings.worker != settings.EXTERNAL:
            script.tell_of_names(app, self.hooks)

    def tell_of_no_receiver(self, hook: Hook) -> None:
        """Log once, of a hook whose events this process is to handle, that nobody is connected to it."""
        is_elsewhere = self.settings.worker == settings.EXTERNAL and self.settings.inbox is not None
        is_told = is_elsewhere or hook.name in self._without_receiver
        if not is_told and not hook.receivers.has_any(self._the_app()):
            self._without_receiver.add(hook.name)
            logger.error(
                "Events of the hook %(hook)r arrive, but no receiver is connected to it in this process, so that "
                "nothing here handles them. Is the module with the receivers imported where the app is made? "
                "If the app is started as a script, `from app import okta` in there makes a second hook: "
                "put the hook into a module of its own.",
                {"hook": hook.name},
            )

    def count_refused(self, hook: str, status: int) -> None:
        """Count a delivery that was not accepted, for metrics; that is nothing the database has to do with now."""
        if self.settings.inbox is not None:
            with contextlib.suppress(InboxUnavailable):  # there is no driver for it
                self.runtime().inbox.counters.count_refused(hook, status)

    def _on_request(self, app: Flask, **_: Any) -> None:
        with hidden(request.environ, self.settings.auth_header):
            self._begin(app)

    def _begin(self, app: Flask) -> None:
        """Start what this process has at work, unless that was done at an earlier request."""
        if self._as_read is not None:
            for tell in (self.tell_of_changes, self._tell_of_script):
                # The request may be for another page, which has nothing to do with what is only told.
                if error := contained(tell, app):
                    contained(
                        logger.error,
                        "What may be wrong with this app could not be looked at.",
                        exc_info=error,
                    )
        if self._is_to_start(app):
            # The first request of a process imports SQLAlchemy: that counts as time that Okta has waited.
            request.environ[BEGAN] = time.monotonic()
            self.start()

    def _is_to_start(self, app: Flask) -> bool:
        is_at_work = self._pid_at_work == os.getpid()
        return self.settings.inbox is not None and not app.testing and not is_at_work

    def preload(self) -> None:
        """Import what starting and answering take, whatever comes."""
        from okta_hooks.wire import fields  # noqa: F401 - marshmallow

        for hook in list(self.hooks.values()):
            hook.prepare()
        if self.settings.inbox is not None:
            from . import runtime

            with contextlib.suppress(InboxUnavailable):  # `start` tells why
                runtime.preload(self.settings.inbox, self._the_app().instance_path)

    def start(self) -> None:
        """Start what this process is to have at work, unless it has, or the app is being tested.

        A failure is logged, and the next request tries again.
        """
        if not self._is_to_start(self._the_app()):
            return
        try:
            for each in platform.unfit(self.settings):
                logger.warning(
                    "The configuration does not fit the platform. %(finding)s %(cure)s",
                    {"finding": each.text, "cure": each.cure},
                )
            runtime = self.runtime()
            for hook in list(self.hooks.values()):
                hook.prepare()
            runtime.writer.start()
            if self.settings.worker in (settings.THREAD, settings.CELERY):
                runtime.work()
            with self._lock:
                # It may have been closed meanwhile: then the next request has another to start.
                if self._runtime is runtime:
                    self._pid_at_work = os.getpid()
        except InboxUnavailable as error:
            contained(logger.error, "The inbox cannot be used: %(error)s", {"error": error})
        except Exception:  # noqa: BLE001 - it is logged
            # Whatever it is, the host's other pages have nothing to do with it; the next request tries again.
            contained(logger.exception, "The inbox cannot be used.")

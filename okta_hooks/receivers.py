"""Which receivers an event has: patterns, blinker signals, identities."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from blinker import Namespace

from .exceptions import UnknownEventTypeWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from blinker import NamedSignal

#: What functools.lru_cache makes, which passes on all that it gets and has no signature of its own.
_CACHED: Final[type[Any]] = type(functools.lru_cache(lambda: None))


def check_pattern(pattern: object) -> str:
    """Return a pattern that is an event type, a prefix ending in ``.*``, or ``*``.

    :raises TypeError: if it is no string.
    :raises ValueError: if it is anything else.
    """
    if not isinstance(pattern, str):
        raise TypeError(f'A pattern is a string such as "user.lifecycle.create", not {pattern!r}.')
    segments = pattern.removesuffix(".*").split(".") if pattern != "*" else ["any"]
    if any(not segment or "*" in segment or segment != segment.strip() for segment in segments):
        raise ValueError(
            f"{pattern!r} is no pattern: write an event type, a prefix of whole segments and .*, or * alone."
        )
    return pattern


def check_patterns(patterns: Sequence[object]) -> None:
    """Look at whether what a decorator got are patterns, and not what is often given instead.

    :raises TypeError: if one is a callable or a list.
    """
    for pattern in patterns:
        if callable(pattern):
            cure = 'write @okta.on("user.lifecycle.create") above the receiver'
        elif isinstance(pattern, list | tuple | set):
            cure = 'each is an argument of its own: @okta.on("user.lifecycle.create", "group.*")'
        else:
            continue
        raise TypeError(f"on() takes event types, not {pattern!r}: {cure}.")


def check_queue(queue: object) -> str:
    """Return the name of a queue.

    :raises TypeError: if it is no string.
    :raises ValueError: if it is empty, has blanks around it, or characters that cannot be printed.
    """
    if not isinstance(queue, str):
        raise TypeError(f'queue must be a name such as "slow", not {queue!r}.')
    if not queue or queue != queue.strip() or not queue.isprintable():
        raise ValueError(
            f'queue must be a name such as "slow", without blanks around it or control characters, not {queue!r}.'
        )
    return queue


def why_uncallable(receiver: object) -> str | None:
    """Return why a receiver cannot be called as receivers are, without a full stop; None if it may well be."""
    if not callable(receiver):
        return "it is not callable"
    call: Callable[..., Any] = receiver
    while isinstance(call, _CACHED):
        call = call.__wrapped__
    if _is_generator(call) or _is_generator(type(call).__call__):
        return "it is a generator function, of which a call runs no line: it must not have a yield"
    try:
        # A decorator that uses functools.wraps may add or take away arguments: it is the one that is called.
        signature = inspect.signature(call, follow_wrapped=False)
    except (TypeError, ValueError):  # of some callables of C none is known
        return None
    empty, positional = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_ONLY
    parameters = [each for each in signature.parameters.values() if each.kind is positional]
    for parameter in parameters[1:]:
        if parameter.default is empty:  # `bind` of Python 3.13 takes it for one of **extra
            return f"missing a required positional-only argument: {parameter.name!r}"
    try:
        signature.bind(object(), event=None, delivery=None, hook=None, attempt=1)
    except TypeError as error:
        return str(error)
    return None


def _is_generator(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def matches(pattern: str, event_type: str) -> bool:
    """Return whether an event type falls under a pattern, by whole segments.

    ``user.*`` matches everything below ``user``, at any depth; ``user.session`` matches only itself.
    """
    return pattern in _patterns_of(event_type, len(pattern))


def _patterns_of(event_type: str, longest: int) -> Iterator[str]:
    """Yield every pattern of at most so many characters that the event type falls under."""
    yield event_type
    yield "*"
    end = event_type.find(".")
    while 0 <= end <= longest - 2:
        yield event_type[:end] + ".*"
        end = event_type.find(".", end + 1)


def warn_if_unknown(pattern: str, stacklevel: int) -> None:
    """Warn about a pattern under which Okta is not known to deliver anything."""
    text = doubt(pattern)
    if text is not None:
        warnings.warn(text, UnknownEventTypeWarning, stacklevel=stacklevel + 1)


def why_never(pattern: str) -> str | None:
    """Return why nothing will be subscribed to for a pattern, without a full stop; None if something will.

    A pattern stands for what is generally available below it; a type in beta must be named exactly.
    """
    from . import catalog  # keeps `import okta_hooks` fast

    known = [entry for name, entry in catalog.entries().items() if matches(pattern, name)]
    eligible = [entry for entry in known if entry.event_hook_eligible]
    if any(entry.stage == "ga" or entry.event_type == pattern for entry in eligible):
        return None
    if eligible:
        names = ", ".join(entry.event_type for entry in eligible)
        return f"all that is below it is in beta, and has to be named exactly: {names}"
    if known:
        return "Okta has it in its System Log only, and delivers it to no event hook"
    return f"no such event type is known in Okta's release {catalog.RELEASE}"


def doubt(pattern: str) -> str | None:
    """Return :func:`why_never` with the pattern that may be meant, as sentences."""
    reason = why_never(pattern)
    if reason is None:
        return None
    near = suggestion(pattern)
    meant = f" Is {near!r} meant?" if near and near != pattern else ""
    return f"For {pattern!r} nothing is subscribed to: {reason}.{meant}"


def suggestion(pattern: str) -> str | None:
    """Return the pattern of Okta's types that may be meant by another, or None if none is near."""
    from . import catalog  # keeps `import okta_hooks` fast

    if pattern.endswith(".*"):
        return catalog.suggest_prefix(pattern.removesuffix(".*"))
    if any(matches(f"{pattern}.*", name) for name in catalog.entries()):
        return f"{pattern}.*"
    return catalog.suggest(pattern)


class Receiver(NamedTuple):
    """A connected callable under the name by which its receipts know it.

    ``concurrency`` is how many events it may have in hand at once, in one worker;
    ``timeout`` is for how many seconds it may run, or None;
    ``queue`` is the name of the queue it belongs to, or None.
    """

    name: str
    call: Callable[..., Any]
    concurrency: int
    timeout: float | None = None
    queue: str | None = None


class Hook(Protocol):
    """What the rest of this library asks of an :class:`~okta_hooks.EventHook`."""

    @property
    def name(self) -> str:
        """Its name in the app and in the inbox."""

    @property
    def receivers(self) -> Receivers:
        """Who is connected to it."""

    def prepare(self) -> None:
        """Import what answering takes, so that the first request need not wait for it."""


class _Identity:
    """What is remembered of a callable from its first connection on, without keeping it alive."""

    def __init__(self, call: Callable[..., Any], name: str, order: int) -> None:
        self.reference = _reference(call)
        self.name = name
        self.order = order
        self.is_named = False
        self.concurrency = 1
        self.timeout: float | None = None
        self.queue: str | None = None


class Receivers:
    """The receivers of one hook: a namespace of blinker signals, and who is connected to them."""

    def __init__(self) -> None:
        self._namespace = Namespace()
        self._identities: dict[Any, _Identity] = {}
        self._connections = 0
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], object]] = []

    @property
    def names(self) -> set[str]:
        """The names of all that were connected, for whatever app, and are still there."""
        known = list(self._identities.values())
        return {identity.name for identity in known if identity.reference() is not None}

    @property
    def patterns(self) -> set[str]:
        """The patterns that anything is connected to."""
        return {name for name, signal in list(self._namespace.items()) if signal.receivers}

    def has_any(self, sender: object) -> bool:
        """Return whether any is connected, muted or not.

        :param sender: The application: a receiver may be connected for one only.
        """
        return any(
            True for signal in list(self._namespace.values()) for _ in signal.receivers_for(sender)
        )

    def unnamed(self, sender: object) -> list[str]:
        """Return the names of connected receivers that were given none, and have that of their function."""
        named = {each.name for each in list(self._identities.values()) if each.is_named}
        return [receiver.name for receiver in self.connected(sender) if receiver.name not in named]

    def signal(self, pattern: str) -> NamedSignal:
        """Return the signal of a pattern; the same one each time.

        :raises TypeError: as :func:`check_pattern`.
        :raises ValueError: as :func:`check_pattern`.
        """
        check_pattern(pattern)
        with self._lock:
            if pattern not in self._namespace:
                signal = self._namespace.signal(pattern)
                # However a receiver is connected, this is where it gets its name.
                signal.receiver_connected.connect(self._on_connected)
            return self._namespace[pattern]

    def connect(
        self,
        call: Callable[..., Any],
        patterns: tuple[str, ...],
        *,
        name: str | None = None,
        concurrency: int = 1,
        timeout: float | None = None,
        queue: str | None = None,
    ) -> None:
        """Connect a callable, strongly, to the signal of each pattern.

        :raises TypeError: if it cannot be called as receivers are.
        :raises ValueError: if another receiver has that name, or this callable another name or queue.
        """
        if (reason := why_uncallable(call)) is not None:
            raise TypeError(
                f"The receiver {_qualified_name(call)} cannot be called: {reason}. It is called as receiver(app, "
                "event=..., delivery=..., hook=..., attempt=...): write def receiver(app, event, **extra)."
            )
        signals = [self.signal(pattern) for pattern in patterns]
        with self._lock:
            known = self._identify(call, name, queue)
            known.concurrency = max(concurrency, known.concurrency)
            if timeout is not None:
                known.timeout = timeout
        for signal in signals:
            signal.connect(call, weak=False)

    def matching(self, event_type: str, sender: object) -> list[Receiver]:
        """Return the receivers of an event type, each once, in the order of their connection.

        A muted signal has none.

        :param sender: The application: a receiver may be connected for one only.
        """
        longest = max(map(len, self._namespace), default=0)
        return self._receivers(_patterns_of(event_type, longest), sender)

    def connected(self, sender: object) -> list[Receiver]:
        """Return all receivers, each once, in the order of their connection."""
        return self._receivers(list(self._namespace), sender)

    def patterns_of(self, receiver: Receiver, sender: object) -> list[str]:
        """Return the patterns that a receiver is connected to."""
        return [
            pattern
            for pattern, signal in self._namespace.items()
            if any(_key(call) == _key(receiver.call) for call in signal.receivers_for(sender))
        ]

    def _receivers(self, patterns: Iterable[str], sender: object) -> list[Receiver]:
        found = {}
        for pattern in patterns:
            signal = self._namespace.get(pattern)
            if signal is None or signal.is_muted:
                continue
            for receiver in list(signal.receivers_for(sender)):
                known = self._identities.get(_key(receiver))
                if known is None:
                    # Another thread is just connecting it: blinker has it, but has not called `_on_connected` yet.
                    with self._lock:
                        known = self._identify(receiver)
                found[known.order] = Receiver(
                    known.name, receiver, known.concurrency, known.timeout, known.queue
                )
        return [found[order] for order in sorted(found)]

    def watch(self, function: Callable[[], object]) -> None:
        """Have a function called each time after a receiver was connected, however that was done."""
        self._watchers.append(function)

    def _on_connected(self, _: object, receiver: Callable[..., Any], **__: Any) -> None:
        with self._lock:
            self._identify(receiver)
        for watcher in self._watchers:
            watcher()

    def _identify(
        self, call: Callable[..., Any], name: str | None = None, queue: str | None = None
    ) -> _Identity:
        alive = {
            key: identity
            for key, identity in self._identities.items()
            if identity.reference() is not None
        }
        taken = {identity.name for identity in alive.values()}
        known = alive.get(_key(call))
        if name in taken:
            raise ValueError(f"This hook has a receiver named {name!r} already.")
        if known is None:
            self._connections += 1
            known = _Identity(call, _first_free(_qualified_name(call), taken), self._connections)
        if queue is not None and known.queue not in (None, queue):
            raise ValueError(
                f"The receiver {known.name!r} is in the queue {known.queue!r} already: it cannot be in {queue!r}, too."
            )
        if name is not None:
            _check_name(name)
            if known.is_named:
                raise ValueError(f"This receiver is named {known.name!r} already.")
            known.name = name
            known.is_named = True
        known.queue = queue or known.queue
        self._identities = {**alive, _key(call): known}
        return known


def _key(call: Callable[..., Any]) -> Any:
    """Return what tells callables apart: a bound method is a new object at each access."""
    if hasattr(call, "__func__") and hasattr(call, "__self__"):
        return id(call.__func__), id(call.__self__)
    return id(call)


def _reference(call: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
    """Return what returns the callable while it is alive, and does not keep it alive.

    Once it is gone, its id may be that of another callable.
    """
    try:
        if hasattr(call, "__func__") and hasattr(call, "__self__"):
            return weakref.WeakMethod(call)
        return weakref.ref(call)
    except TypeError:  # some callables of C cannot be referred to weakly
        return lambda: call


def _check_name(name: str) -> None:
    """Look at whether the inbox can keep what receivers do under a name: else it could keep nothing of any of them."""
    if not name or "\0" in name or name.encode("utf-8", "replace").decode() != name:
        raise ValueError(
            f"The name of a receiver has at least one character, no NUL and no surrogates: {name!r} cannot be one."
        )


def _qualified_name(call: Callable[..., Any]) -> str:
    while isinstance(call, functools.partial):
        call = call.func
    named = call if hasattr(call, "__qualname__") else type(call)
    return f"{named.__module__}:{named.__qualname__}"


def _first_free(name: str, taken: set[str]) -> str:
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}#{number}"
    return candidate

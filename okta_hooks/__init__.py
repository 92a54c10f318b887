"""A Flask blueprint that receives Okta event hooks."""

from typing import TYPE_CHECKING, Any

from .blueprint import EventHook
from .exceptions import (
    ConfigurationError,
    OktaHooksError,
    Reject,
    RetryLater,
    UnknownEventTypeWarning,
    UnreadableDelivery,
    UnreadableEvent,
)
from .state import drain, preload, start, state_of

if TYPE_CHECKING:
    from .wire.events import (
        Actor,
        AuthenticationContext,
        ChangeDetails,
        Client,
        DebugContext,
        Delivery,
        Device,
        GeographicalContext,
        Geolocation,
        IpAddress,
        Issuer,
        LogEvent,
        Outcome,
        Request,
        SecurityContext,
        Target,
        Transaction,
        UserAgent,
        UserBehavior,
    )
    from .wire.raw import load_event

    __version__: str

__all__ = [
    "Actor",
    "AuthenticationContext",
    "ChangeDetails",
    "Client",
    "ConfigurationError",
    "DebugContext",
    "Delivery",
    "Device",
    "EventHook",
    "GeographicalContext",
    "Geolocation",
    "IpAddress",
    "Issuer",
    "LogEvent",
    "OktaHooksError",
    "Outcome",
    "Reject",
    "Request",
    "RetryLater",
    "SecurityContext",
    "Target",
    "Transaction",
    "UnknownEventTypeWarning",
    "UnreadableDelivery",
    "UnreadableEvent",
    "UserAgent",
    "UserBehavior",
    "__version__",
    "drain",
    "load_event",
    "preload",
    "start",
    "state_of",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # The classes of events take longer to make than all the rest, and most apps never name them.
        if name == "__version__":
            from importlib.metadata import version  # keeps `import okta_hooks` fast

            return version("okta-hooks")
        if name == "load_event":
            from .wire import raw  # keeps `import okta_hooks` fast

            return raw.load_event
        if name in __all__:
            from .wire import events  # keeps `import okta_hooks` fast

            return getattr(events, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

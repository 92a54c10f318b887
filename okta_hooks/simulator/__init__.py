"""An Okta org on the loopback: management API, System Log, and deliveries with Okta's manners.

``python -m okta_hooks.simulator`` runs one; :class:`Simulator` and :class:`Org` are for tests.
"""

from okta_hooks.calling import Answer, Attempt, HttpSender, Request, Send, app_sender

from .errors import RequestRefused
from .org import Delivery, Org
from .server import Simulator

__all__ = [
    "Answer",
    "Attempt",
    "Delivery",
    "HttpSender",
    "Org",
    "Request",
    "RequestRefused",
    "Send",
    "Simulator",
    "app_sender",
]

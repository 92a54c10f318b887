"""An Okta org on the loopback: management API, System Log, and deliveries as Okta makes them.

``python -m okta_hooks.simulator`` runs one; :class:`Simulator` and :class:`Org` are for tests.
Nothing but the pytest plugin imports this from outside, so nothing that production needs may stand here,
and nothing here knows the inbox or the worker but ``app_org``, which has the app under test.
"""

from okta_hooks.calling import Answer, HttpSender, Request, Send, app_sender

from .errors import RequestRefused
from .org import Org
from .outgoing import Attempt
from .server import Simulator

__all__ = [
    "Answer",
    "Attempt",
    "HttpSender",
    "Org",
    "Request",
    "RequestRefused",
    "Send",
    "Simulator",
    "app_sender",
]

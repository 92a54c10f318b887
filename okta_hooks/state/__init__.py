"""What one app has of this library, and what this process has of it at work.

:class:`AppState` lives in ``app.extensions``, as Flask's guide for extensions has it; a ``Runtime`` is made
at the first request of a process, and again in each that is forked off later.
Nothing here knows the blueprint or an answer of HTTP.
"""

from .app import EXTENSION, AppState, Reconfigured, app_object, state_of
from .at_work import drain, preload, start

__all__ = [
    "EXTENSION",
    "AppState",
    "Reconfigured",
    "app_object",
    "drain",
    "preload",
    "start",
    "state_of",
]

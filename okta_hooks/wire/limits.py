"""How much Okta takes and gives at the most.

https://developer.okta.com/docs/concepts/event-hooks/
https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

#: What one event hook is subscribed to at the most.
MOST_EVENT_TYPES: Final = 300
#: How many of an org's event hooks may be active.
MOST_ACTIVE_HOOKS: Final = 25
#: How long an org keeps its System Log.
LOG_RETENTION: Final = timedelta(days=90)
#: How many events ``GET /api/v1/logs`` gives at once at the most.
LARGEST_LOG_PAGE: Final = 1000
#: How many events that hooks ask for are delivered in 24 hours at the most, to all hooks of an org together.
MOST_EVENTS_A_DAY: Final = 400_000
#: Of these, Okta warns at this share.
WARNED_AT: Final = 0.7

"""Handing stored events to receivers, until every one of them has finished or given up.

``fan_out`` gives events their receipts, a ``lane`` claims and settles them, ``dispatch`` alone calls receivers,
and ``retry`` decides what becomes of a receipt. Where a task queue runs receivers, a ``relay`` sends it tickets,
and a ``performer`` does what a lane does for each that arrives.
Nothing here knows a statement of SQL, a request, or who the org at Okta is.
"""

from .tasks import perform, take

__all__ = ["perform", "take"]

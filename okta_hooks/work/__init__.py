"""Handing stored events to receivers, until every one of them has finished or given up.

``fan_out`` gives events their receipts, a ``lane`` claims and settles them, ``dispatch`` alone calls receivers,
and ``retry`` decides what becomes of a receipt.
Nothing here knows a statement of SQL, a request, or who the org at Okta is.
"""

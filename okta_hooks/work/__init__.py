"""Handing stored events to receivers, until every one of them has finished or given up.

The one place where a receiver is called is ``dispatch``; what becomes of its receipt is decided in ``retry``.
Nothing here knows a statement of SQL, a request, or who the org at Okta is.
"""

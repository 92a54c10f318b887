"""Who may use the API of an org, and how often."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from flask import g, request

from . import errors
from .access import PERMISSIONS

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Flask, Response

    from .org import Org

API: Final = "/api/v1/"
OAUTH: Final = "/oauth2/v1/"
WELL_KNOWN: Final = "/.well-known/"
#: Paths that have rate limits, and can be told to fail.
_LIMITED: Final = (API, OAUTH, WELL_KNOWN)
#: Requests a minute, by the beginning of the path. Okta's own numbers depend on the org's contract.
RATE_LIMITS: Final = {f"{API}logs": 120, API: 600, OAUTH: 600, WELL_KNOWN: 600}
_MINUTE: Final = 60
#: What permissions call the parts of the API.
_RESOURCES: Final = {"eventHooks": "eventHooks", "logs": "logs", "org": "orgs"}


class RateLimits:
    """Counts requests by the minute of the clock."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def count(self, path: str, now: datetime) -> tuple[dict[str, str], bool]:
        """Count a request.

        :return: the headers that tell how many are left, and whether this one was too many.
        """
        limit = self._bucket(path)
        minute = int(now.timestamp()) // _MINUTE
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            count = self._counts[limit] = self._counts.get(limit, 0) + 1
        most = self.limits[limit]
        return _headers(most, max(most - count, 0), now), count > most

    def exhausted(self, path: str, now: datetime) -> dict[str, str]:
        """Return the headers of a request that is over the limit, whatever was counted."""
        return _headers(self.limits[self._bucket(path)], 0, now)

    def _bucket(self, path: str) -> str:
        return max((each for each in self.limits if path.startswith(each)), key=len)


def _headers(limit: int, remaining: int, now: datetime) -> dict[str, str]:
    return {
        "X-Rate-Limit-Limit": str(limit),
        "X-Rate-Limit-Remaining": str(remaining),
        "X-Rate-Limit-Reset": str((int(now.timestamp()) // _MINUTE + 1) * _MINUTE),
    }


def add_admission(app: Flask, org: Org, limits: RateLimits) -> None:
    """Let the app take only requests that may be made."""

    @app.before_request
    def admit() -> None:
        if not request.path.startswith(_LIMITED):
            return
        fault = org.api_faults.take(request.path)
        if fault is not None:
            g.fault = fault
            if fault.status is not None:
                g.rate_limit = limits.exhausted(request.path, org.clock())
                raise errors.for_status(fault.status)
        if request.path.startswith(API):
            _check_token(org)
        g.rate_limit, is_over = limits.count(request.path, org.clock())
        if is_over:
            raise errors.too_many_requests()

    @app.after_request
    def complete(response: Response) -> Response:
        response.headers.update(g.get("rate_limit", {}))
        response.headers["X-Okta-Request-Id"] = org.new_request_id()
        response.headers["Cache-Control"] = "no-cache, no-store"
        # The server would tell its own time: what is told of an org goes by the org's clock.
        response.date = org.clock()
        if "fault" in g:
            g.fault.wait()
        return response


def _check_token(org: Org) -> None:
    authorization = request.headers.get("Authorization", "")
    # The org's own token may do everything. The official SDK's typed calls leave the space out.
    if authorization not in {f"SSWS {org.token}", f"SSWS{org.token}", f"Bearer {org.token}"}:
        org.access.check(authorization, _permission(), org.clock())


def _permission() -> str | None:
    """Return what a request needs, or None if there is nothing at its path."""
    resource = request.path.removeprefix(API).partition("/")[0]
    action = "read" if request.method in ("GET", "HEAD") else "manage"
    permission = f"okta.{_RESOURCES.get(resource)}.{action}"
    return permission if permission in PERMISSIONS else None

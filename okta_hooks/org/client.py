"""The few calls to an Okta org.

The answers are read here, because the models of Okta's SDK refuse a whole page of the System Log for one value they
do not know.
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from okta_hooks.exceptions import OktaRefused, OktaUnavailable
from okta_hooks.logs import plain_logger
from okta_hooks.wire import reading
from okta_hooks.wire.limits import LARGEST_LOG_PAGE
from okta_hooks.wire.protocol import okta_time

from . import credentials
from .hooks import RegisteredHook
from .urls import origin, shown, without_slash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from types import TracebackType

    from okta_hooks.settings import Settings

    from .sdk import Response

logger = plain_logger(__name__)

_HOOKS: Final = "/api/v1/eventHooks"
_LOGS: Final = "/api/v1/logs"
_METADATA: Final = "/.well-known/okta-organization"
_REDIRECTS: Final = range(300, 400)
#: Okta's limits are per minute: if they are used up so many times in a row, another client uses them.
_MOST_WAITS: Final = 5
_LONGEST_WAIT: Final = 120.0
_USUAL_WAIT: Final = 10.0


class LogPage(NamedTuple):
    """A page of the System Log: its events as they came, and where to go on, if there is more to come."""

    events: list[Any]
    next_url: str | None


class OktaClient:
    """The API of an Okta org. It is a context manager, for one thread.

    Every method raises :exc:`OktaUnavailable` if there is no answer that can be read,
    and :exc:`OktaRefused` if the answer is no. Neither holds the token.
    A rate limit is waited out.

    :param settings: ``org_url`` and ``api_token`` win over the SDK's own configuration
        (``okta.yaml`` and ``OKTA_CLIENT_...``), which may also hold the private key of a service app.
    :param tell: Is called with a line for a person when something is waited for.
    :param wait: Sleeps for so many seconds. What it raises ends the call.
    :raises ConfigurationError: if the SDK is not installed, or it cannot be configured like that;
        the subclass :exc:`~okta_hooks.org.credentials.OrgNotConfigured` if nothing names an org.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tell: Callable[[str], Any] = logger.info,
        wait: Callable[[float], Any] = time.sleep,
    ) -> None:
        try:
            from .sdk import Transport  # of an extra, and slow to import
        except ImportError as error:
            raise credentials.sdk_is_missing(settings) from error
        self._transport = Transport(settings)
        self.url = self._transport.url
        #: With what the org is asked.
        self.credentials = self._transport.credentials
        self._tell = tell
        self._wait = wait
        # What the org's clock showed, and when that was by this process's own.
        self._date: tuple[float, float] | None = None
        self._names: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the event loop. The client cannot be used after that."""
        self._transport.close()

    def now(self) -> float | None:
        """Return what time it is by the org's clock, in seconds since the epoch, or None if it has not said it yet.

        This host's may be wrong, and what is too young to have arrived is a matter of the org's.
        """
        if self._date is None:
            return None
        date, at = self._date
        return date + (time.monotonic() - at)

    def _note_date(self, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._date = parsedate_to_datetime(headers["Date"]).timestamp(), time.monotonic()

    def newest_events(self, since: datetime, until: datetime) -> list[Any]:
        """Return the events of the System Log that were published last in a span of time, newest first.

        They are a thousand at most, and asked for apart from polling: only so the two can be held against each other.
        """
        span = {"since": okta_time(since), "until": okta_time(until)}
        how = {"sortOrder": "DESCENDING", "limit": str(LARGEST_LOG_PAGE)}
        events, _ = self._call("GET", f"{self.url}{_LOGS}?{urlencode(span | how)}")
        if not isinstance(events, list):
            raise _no_org(self.url, "a list of events")
        return events

    def hooks(self) -> list[RegisteredHook]:
        """Return all event hooks. Needs the permission ``okta.eventHooks.read``."""
        listed, _ = self._call("GET", _HOOKS)
        if not isinstance(listed, list):
            raise _no_org(self.url, "a list of event hooks")
        return [_hook(self.url, raw) for raw in listed]

    def hook(self, hook_id: str) -> RegisteredHook:
        """Return one event hook."""
        return _hook(self.url, self._call("GET", f"{_HOOKS}/{hook_id}")[0])

    def create_hook(self, body: Mapping[str, Any]) -> RegisteredHook:
        """Create a hook; it is active and not verified. Needs ``okta.eventHooks.manage``, as do all that change one.

        :param body: As Okta's reference has it.
        """
        return _hook(self.url, self._call("POST", _HOOKS, body)[0])

    def replace_hook(self, hook_id: str, body: Mapping[str, Any]) -> RegisteredHook:
        """Replace what is said of a hook. With another URL, header or secret it is not verified any more."""
        return _hook(self.url, self._call("PUT", f"{_HOOKS}/{hook_id}", body)[0])

    def activate_hook(self, hook_id: str) -> RegisteredHook:
        """Switch a hook on."""
        return _hook(self.url, self._call("POST", f"{_HOOKS}/{hook_id}/lifecycle/activate")[0])

    def verify_hook(self, hook_id: str) -> RegisteredHook:
        """Let Okta send its challenge to the endpoint, and return the hook once that has worked."""
        return _hook(self.url, self._call("POST", f"{_HOOKS}/{hook_id}/lifecycle/verify")[0])

    def log_url(self, *, since: datetime, until: datetime | None = None, filter: str = "") -> str:  # noqa: A002 - as Okta names it
        """Return the URL of the first page of the System Log. Reading it needs ``okta.logs.read``.

        Without ``until`` the log is polled: in the order of persistence, complete, and on for ever.

        :param since: An aware datetime.
        :param until: An aware datetime. With it, the log is in the order of ``published``, may miss what comes late,
            and ends.
        :param filter: An expression of Okta's, such as ``eventType eq "user.lifecycle.create"``.
        """
        parameters = {
            "since": okta_time(since),
            "until": okta_time(until) if until else "",
            "filter": filter,
            "sortOrder": "ASCENDING",
            "limit": str(LARGEST_LOG_PAGE),
        }
        given = {name: value for name, value in parameters.items() if value}
        return f"{self.url}{_LOGS}?{urlencode(given)}"

    def log_page(self, url: str) -> LogPage:
        """Return a page of the System Log.

        Of a URL only path and query count: they are asked of this org, so that the token goes nowhere else. An org
        that has a custom domain has several hosts, and it is not said which of them the log names.

        :param url: As :meth:`log_url` made it, or the ``next_url`` of an earlier page.
        :raises ValueError: if it is no URL of a log.
        """
        asked = self._url_of_log(url)
        if asked is None:
            raise ValueError(f"{url!r} is no URL of the System Log of {self.url}.")
        events, following = self._call("GET", asked)
        if not isinstance(events, list):
            raise _no_org(self.url, "a list of events")
        next_url = None
        if following is not None:
            next_url = self._url_of_log(following)
            if next_url is None:
                raise OktaUnavailable(
                    f"{self.url} continues its log at what is no log, {shown(following)!r}: "
                    f"is {self.credentials.url_from} the address of the org itself, "
                    "or does something before it change its links?",
                    is_transient=False,
                )
        return LogPage(events, next_url)

    def _url_of_log(self, url: str) -> str | None:
        parts = urlsplit(url)
        if without_slash(parts.path) != _LOGS:
            return None
        return f"{self.url}{_LOGS}?{parts.query}"

    def other_names(self, tell: Callable[[str], Any] = logger.warning) -> tuple[str, ...]:
        """Return the other URLs that the org has or had: as it was spelt, its custom domain, its domain at Okta.

        Nothing but the last part has to be asked, and that needs no permission. If the org does not say it, a person
        is told, once: what was read under another name is not found then.
        https://developer.okta.com/docs/api/openapi/okta-management/management/tag/OrgSettingMetadata/

        :param tell: Is called with a line for a person.
        """
        if self._names is not None:
            return self._names
        names = [self._transport.configured_url]
        status, headers, _, text = self._request_within_limit("GET", _METADATA, None)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise _refusal(status, None, _retry_after(headers))
        try:
            document = json.loads(text) if status == HTTPStatus.OK else None
        except (ValueError, RecursionError):
            document = None
        links = document.get("_links") if isinstance(document, dict) else None
        if not isinstance(links, dict):
            tell(
                f"{self.url} does not say which other addresses the org has ({_METADATA} answered {status}): if its "
                "log was read under another one, that place is not known, and --since has to say where to begin."
            )
        for link in links.values() if isinstance(links, dict) else ():
            href = link.get("href") if isinstance(link, dict) else None
            if isinstance(href, str):
                names.append(origin(href))
        self._names = tuple(name for name in dict.fromkeys(names) if name != self.url)
        return self._names

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[Any, str | None]:
        """Return what the answer's JSON holds, and the link to the next page."""
        status, headers, next_url, text = self._request_within_limit(method, path, body)
        if status in _REDIRECTS:
            raise self._redirected(status, headers.get("Location"))
        reason: Exception | None = None
        try:
            document = json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            document, reason = text, error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(status, document, _retry_after(headers))
        if reason is not None and text.lstrip().startswith("["):
            raise OktaUnavailable(
                f"{self.url} answered with a page that cannot be read: {reason}. Try again; if it stays so, does "
                "a proxy or something else between here and the org cut or change what it answers?"
            )
        if isinstance(document, str):
            # A page of a proxy's, say, that is gone in a minute.
            raise _no_org(self.url, "JSON", is_transient=True)
        return document, next_url

    def _request_within_limit(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> Response:
        """Make a request; a rate limit is waited out, but not for ever."""
        waits = 0
        while True:
            response = self._transport.request(method, path, body)
            self._note_date(response.headers)
            if response.status != HTTPStatus.TOO_MANY_REQUESTS or waits == _MOST_WAITS:
                return response
            waits += 1
            seconds = _seconds_to_wait(response.headers)
            self._tell(f"The rate limit of {self.url} is used up: going on in {seconds:.0f} s.")
            self._wait(seconds)

    def _redirected(self, status: int, location: str | None) -> OktaUnavailable:
        to = f", which points to {shown(location)}" if location else ""
        return OktaUnavailable(
            f"{self.url} answered {status}{to}. A redirect is not followed: token and secret are for the org alone. "
            f"Is {self.credentials.url_from} the address of the org itself?",
            is_transient=False,
        )


def _no_org(url: str, what: str, *, is_transient: bool = False) -> OktaUnavailable:
    return OktaUnavailable(
        f"{url} did not answer with {what}: is it the URL of an Okta org?",
        is_transient=is_transient,
    )


def _refusal(status: int, document: Any, retry_after: float | None) -> OktaRefused:
    """Read Okta's error object."""
    known = document if isinstance(document, dict) else {}
    causes = known.get("errorCauses")
    summaries = [
        cause["errorSummary"]
        for cause in (causes if isinstance(causes, list) else [])
        if isinstance(cause, dict) and isinstance(cause.get("errorSummary"), str)
    ]
    # OAuth 2.0 has other names for it: https://www.rfc-editor.org/rfc/rfc6750#section-3
    code = known.get("errorCode") or known.get("error")
    summary = known.get("errorSummary") or known.get("error_description")
    return OktaRefused(
        status,
        code if isinstance(code, str) else None,
        summary if isinstance(summary, str) else None,
        summaries,
        retry_after=retry_after,
    )


def _seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Return how long to wait until the rate limit is reset, by the org's clock: this host's may be wrong.

    Okta says when that is in a header of its own; what stands in front of it may say how long to wait.
    """
    left = _seconds_until(headers, headers.get("X-Rate-Limit-Reset"))
    if left is not None:
        left += 1
    else:
        left = _retry_after(headers)
    return min(max(_USUAL_WAIT if left is None else left, 1.0), _LONGEST_WAIT)


def _seconds_until(headers: Mapping[str, str], reset: str | None) -> float | None:
    try:
        left = float(reset or "") - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return left if math.isfinite(left) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds not to ask again, if that is said: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3."""
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
        now = parsedate_to_datetime(headers["Date"])
        return max((moment - now).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return None


def _hook(url: str, raw: Any) -> RegisteredHook:
    hook: RegisteredHook | None
    hook, _ = reading.load_object(RegisteredHook, raw)
    if hook is None:
        raise _no_org(url, "an event hook")
    return replace(hook, document=raw)

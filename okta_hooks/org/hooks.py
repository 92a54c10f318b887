"""The few calls to an Okta org, over the transport of Okta's own SDK.

The SDK (the extra ``okta``) brings configuration, authentication and HTTP; the answers are read here,
because its models refuse a whole page of the System Log for one value they do not know.
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

import asyncio
import contextvars
import html
import json
import logging
import math
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from okta_hooks.exceptions import OktaRefused, OktaUnavailable
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from types import TracebackType

    from okta_hooks.settings import Settings

logger = logging.getLogger(__name__)

#: What ``GET /api/v1/logs`` gives at once at the most.
LARGEST_PAGE: Final = 1000
#: What one event hook takes.
MOST_EVENT_TYPES: Final = 300

_HOOKS: Final = "/api/v1/eventHooks"
_LOGS: Final = "/api/v1/logs"
_SDK_LOGGER: Final = "okta-sdk-python"
_TIMEOUT_SECONDS: Final = 60
#: Okta's limits are by the minute: more waits than this mean that somebody else uses them up.
_MOST_WAITS: Final = 5
_LONGEST_WAIT: Final = 120.0
_USUAL_WAIT: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEvents:
    """Which events a hook is for. ``filter`` is kept as it came."""

    type: str | None = None
    items: tuple[str, ...] = ()
    filter: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookHeader:
    """A header that Okta sends besides the secret. Its value may be a secret, too."""

    key: str | None = None
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAuthScheme:
    """Where Okta puts the secret, which it never tells."""

    type: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookConfig:
    """Where a hook's deliveries go, and with which headers."""

    uri: str | None = None
    headers: tuple[HookHeader, ...] = ()
    auth_scheme: HookAuthScheme | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookChannel:
    """How a hook's deliveries travel: always over HTTP."""

    type: str | None = None
    version: str | None = None
    config: HookConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredHook:
    """An event hook as an org has it.

    ``status`` is ``"ACTIVE"`` or ``"INACTIVE"``, ``verification_status`` ``"VERIFIED"`` or ``"UNVERIFIED"``:
    only a hook that is both gets events.
    """

    id: str
    name: str | None = None
    description: str | None = None
    status: str | None = None
    verification_status: str | None = None
    events: HookEvents | None = None
    channel: HookChannel | None = None

    @property
    def url(self) -> str | None:
        """Where its deliveries go."""
        config = self.channel.config if self.channel else None
        return config.uri if config else None

    @property
    def event_types(self) -> tuple[str, ...]:
        """What it is subscribed to."""
        return self.events.items if self.events else ()

    @property
    def auth_header(self) -> str | None:
        """The header that Okta puts the secret into."""
        config = self.channel.config if self.channel else None
        return config.auth_scheme.key if config and config.auth_scheme else None

    @property
    def is_active(self) -> bool:
        """Whether it is switched on."""
        return self.status == "ACTIVE"

    @property
    def is_verified(self) -> bool:
        """Whether Okta has checked who owns the endpoint."""
        return self.verification_status == "VERIFIED"


class LogPage(NamedTuple):
    """A page of the System Log: its events as they came, and where to go on, if there is more to come."""

    events: list[Any]
    next_url: str | None


class Org:
    """The API of an Okta org. It is a context manager, for one thread.

    Every method raises :exc:`OktaUnavailable` if there is no answer that can be read,
    and :exc:`OktaRefused` if the answer is no. Neither holds the token.
    A rate limit is waited out.

    :param settings: ``org_url`` and ``api_token`` win over the SDK's own configuration
        (``okta.yaml`` and ``OKTA_CLIENT_...``), which may also hold the private key of a service app.
    :param tell: Is called with a line for a person when something is waited for.
    :param wait: Sleeps for so many seconds. What it raises ends the call.
    :raises RuntimeError: if the SDK is not installed, or it cannot be configured like that.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tell: Callable[[str], Any] = logger.info,
        wait: Callable[[float], Any] = time.sleep,
    ) -> None:
        self._executor, self.url = _executor(settings)
        self._log = f"{self.url}{_LOGS}?"
        self._tell = tell
        self._wait = wait
        self._runner = asyncio.Runner()

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
        """Let go of the event loop. The org cannot be used after that."""
        self._runner.close()

    def hooks(self) -> list[RegisteredHook]:
        """Return all event hooks. Needs the permission ``okta.eventHooks.read``."""
        listed, _ = self._call("GET", _HOOKS)
        if not isinstance(listed, list):
            raise OktaUnavailable(f"{self.url} did not answer with a list of event hooks")
        return [_hook(raw) for raw in listed]

    def create_hook(self, body: Mapping[str, Any]) -> RegisteredHook:
        """Create a hook; it is active and not verified. Needs ``okta.eventHooks.manage``, as do all that change one.

        :param body: As Okta's reference has it.
        """
        return _hook(self._call("POST", _HOOKS, body)[0])

    def replace_hook(self, hook_id: str, body: Mapping[str, Any]) -> RegisteredHook:
        """Replace what is said of a hook. With another URL it is not verified any more."""
        return _hook(self._call("PUT", f"{_HOOKS}/{hook_id}", body)[0])

    def activate_hook(self, hook_id: str) -> RegisteredHook:
        """Switch a hook on."""
        return _hook(self._call("POST", f"{_HOOKS}/{hook_id}/lifecycle/activate")[0])

    def verify_hook(self, hook_id: str) -> RegisteredHook:
        """Let Okta send its challenge to the endpoint, and return the hook once that has worked."""
        return _hook(self._call("POST", f"{_HOOKS}/{hook_id}/lifecycle/verify")[0])

    def log_url(self, *, since: datetime, until: datetime | None = None, filter: str = "") -> str:  # noqa: A002
        """Return the URL of the first page of the System Log. Reading it needs ``okta.logs.read``.

        Without ``until`` the log is polled: in the order of persistence, complete, and on for ever.

        :param since: An aware datetime.
        :param until: An aware datetime. With it, the log is in the order of ``published``, may miss what comes late,
            and ends.
        :param filter: An expression of Okta's, such as ``eventType eq "user.lifecycle.create"``.
        """
        parameters = {
            "since": _okta_time(since),
            "until": _okta_time(until) if until else "",
            "filter": filter,
            "sortOrder": "ASCENDING",
            "limit": str(LARGEST_PAGE),
        }
        given = {name: value for name, value in parameters.items() if value}
        return self._log + urlencode(given)

    def log_page(self, url: str) -> LogPage:
        """Return a page of the System Log.

        :param url: As :meth:`log_url` made it, or the ``next_url`` of an earlier page.
        :raises ValueError: if it is no URL of this org's log: the token must not go elsewhere.
        """
        if not url.startswith(self._log):
            raise ValueError(f"{url!r} is no URL of the System Log of {self.url}.")
        events, following = self._call("GET", url)
        if not isinstance(events, list):
            raise OktaUnavailable(f"{self.url} did not answer with a list of events")
        if following is not None and not following.startswith(self._log):
            raise OktaUnavailable(f"{self.url} continues its log at another host, {following!r}")
        return LogPage(events, following)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[Any, str | None]:
        """Return what the answer's JSON holds, and the link to the next page."""
        waits = 0
        while True:
            status, headers, links, text = self._request(method, path, body)
            if status != HTTPStatus.TOO_MANY_REQUESTS or waits == _MOST_WAITS:
                break
            waits += 1
            seconds = _seconds_to_reset(headers)
            self._tell(f"The rate limit of {self.url} is used up: going on in {seconds:.0f} s.")
            self._wait(seconds)
        reason: Exception | None = None
        try:
            document = json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            document, reason = text, error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(status, document)
        if reason is not None and text.lstrip().startswith("["):
            raise OktaUnavailable(f"{self.url} answered with a page that cannot be read: {reason}")
        if isinstance(document, str):
            raise OktaUnavailable(
                f"{self.url} did not answer with JSON: is it the URL of an Okta org?"
            )
        return document, links

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], str | None, str]:
        async def send() -> Any:
            _quiet.set(True)
            request, error = await self._executor.create_request(
                method, path, body, keep_empty_params=True
            )
            if error is not None:
                return None, None, error
            _, response, text, error = await self._executor.fire_request(request)
            return response, text, error

        try:
            response, text, error = self._runner.run(send(), context=contextvars.copy_context())
        except Exception as failure:  # noqa: BLE001 - see below
            # Whatever it is: the SDK's traceback helps nobody here, and its text may quote headers.
            raise OktaUnavailable(f"{self.url} cannot be asked: {type(failure).__name__}") from None
        if response is None or text is None:
            if isinstance(
                getattr(error, "status", None), int
            ):  # of the endpoint for OAuth 2.0 tokens
                code = getattr(error, "error_code", None)
                raise OktaRefused(error.status, code, getattr(error, "error_summary", None))
            raise OktaUnavailable(_said(self.url, error))
        following = response.links.get("next", {}).get("url")
        return response.status, response.headers, following and str(following), text


#: Whether the SDK's log is held back: it writes requests with their token into it.
_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar("okta_hooks_quiet", default=False)


def _is_loud(_: logging.LogRecord) -> bool:
    return not _quiet.get()


def _executor(settings: Settings) -> tuple[Any, str]:
    """Return the SDK's transport, configured, and the org's URL without a slash at its end."""
    try:
        from okta.cache.no_op_cache import NoOpCache  # noqa: PLC0415 - an extra, and slow to import
        from okta.config.config_setter import ConfigSetter  # noqa: PLC0415
        from okta.config.config_validator import ConfigValidator  # noqa: PLC0415
        from okta.jwt import JWT  # noqa: PLC0415
        from okta.request_executor import RequestExecutor  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError(
            "To talk to Okta its SDK is needed: pip install 'okta-hooks[okta]'"
        ) from error
    logging.getLogger(_SDK_LOGGER).addFilter(_is_loud)
    setter = ConfigSetter()
    config = setter._prune_config(setter.get_config())  # noqa: SLF001 - as the SDK's client does
    client = config["client"]
    url = str(settings.org_url or client.get("orgUrl", "")).strip().rstrip("/")
    client["orgUrl"] = url
    if settings.api_token is not None:
        client["token"] = settings.api_token
        if client["authorizationMode"] == "PrivateKey":
            client["authorizationMode"] = "SSWS"
    _check(url, client)
    client["rateLimit"] = {"maxRetries": 0}  # it would wait in silence
    client["requestTimeout"] = _TIMEOUT_SECONDS
    config["testing"] = {"testingDisableHttpsCheck": True}  # checked above, but for a simulated org
    try:
        ConfigValidator(config)
        executor = RequestExecutor(config, NoOpCache())
    except Exception as error:  # noqa: BLE001 - its own checks, in its own words
        raise RuntimeError(
            f"Okta's SDK cannot be configured like that: {_one_line(error)}"
        ) from None
    if client["authorizationMode"] == "PrivateKey":
        try:
            JWT.get_PEM_JWK(client["privateKey"])
        except Exception:  # noqa: BLE001 - whatever it is, its text may quote the key
            raise RuntimeError(
                "OKTA_CLIENT_PRIVATEKEY cannot be read: it must be an RSA private key, as PEM with its line breaks, "
                "as a JWK, or as the path of a PEM file."
            ) from None
    return executor, url


def _check(url: str, client: Mapping[str, Any]) -> None:
    if not url:
        raise RuntimeError(
            "OKTA_HOOKS_ORG_URL is not set: it is the URL of the Okta org, such as https://acme.okta.com."
        )
    if not _is_of_an_org(url):
        # What stands before an @ may be a password.
        found = "has an @ in it" if "@" in url else f"is {url!r}"
        raise RuntimeError(
            f"OKTA_HOOKS_ORG_URL {found}: it must be https:// and a host, and nothing behind it."
        )
    if client["authorizationMode"] == "PrivateKey":
        return
    token = client.get("token", "")
    if not token:
        raise RuntimeError(
            "OKTA_HOOKS_API_TOKEN is not set: create a token at Okta, under Security > API > Tokens, "
            "or configure a service app as Okta's SDK has it (OKTA_CLIENT_AUTHORIZATIONMODE=PrivateKey)."
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise RuntimeError(
            "OKTA_HOOKS_API_TOKEN holds a blank, a line break or another character that no token has: "
            "give the token alone, without SSWS."
        )


def _is_of_an_org(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in url)
    return is_host and is_safe and is_bare


def _refusal(status: int, document: Any) -> OktaRefused:
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
    )


def _seconds_to_reset(headers: Mapping[str, str]) -> float:
    """Return how long to wait, by the org's clock: this host's may be wrong."""
    try:
        now = parsedate_to_datetime(headers["Date"]).timestamp()
        left = float(headers["X-Rate-Limit-Reset"]) - now + 1
    except (KeyError, ValueError):
        left = _USUAL_WAIT
    if not math.isfinite(left):
        left = _USUAL_WAIT
    return min(max(left, 1.0), _LONGEST_WAIT)


def _hook(raw: Any) -> RegisteredHook:
    hook: RegisteredHook | None
    hook, _ = reading.load_object(RegisteredHook, raw)
    if hook is None:
        raise OktaUnavailable("Okta's answer is no event hook")
    return hook


def _okta_time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(url: str, error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return f"{url} did not answer within {_TIMEOUT_SECONDS} s"
    return f"{url} cannot be reached: {_one_line(error)}"


def _one_line(error: BaseException | None) -> str:
    return " ".join(html.unescape(str(error)).split()) or type(error).__name__

"""The requests that are sent to find out how an endpoint answers, and what came back."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from okta_hooks.calling import Request
from okta_hooks.wire.protocol import CHALLENGE_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from okta_hooks.calling import Send

#: Longer than Okta waits, so that a late answer can be told from none.
PROBE_TIMEOUT: Final = 10.0
BURST: Final = 20
_AT_ONCE: Final = 5
#: How many secrets besides the first are tried.
_MORE_SECRETS: Final = 3
LARGE: Final = 1024 * 1024
_MOST_TIMEOUTS: Final = 2
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request: an answer, or the error there was instead.

    ``is_ours`` says of a refusal that this library gave it, and not something in front of it.
    """

    seconds: float
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    location: str | None = None
    is_ours: bool = False
    error: Exception | None = None

    @property
    def verification(self) -> str | None:
        """The challenge that it gives back, whichever that is."""
        try:
            document: Any = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        value = document.get("verification") if isinstance(document, dict) else None
        return value if isinstance(value, str) else None

    @property
    def is_redirect(self) -> bool:
        """Whether it leads elsewhere."""
        return self.status in _REDIRECTS


@dataclass(slots=True, kw_only=True)
class Answers:
    """What an endpoint answered to each probe; None: it was not sent, since others had failed."""

    challenge: str
    verified: Outcome
    second_challenge: str = ""
    verified_again: Outcome | None = None
    verified_wrongly: Outcome | None = None
    delivered: Outcome | None = None
    delivered_wrongly: Outcome | None = None
    with_other_secrets: dict[int, Outcome] = field(default_factory=dict)
    with_other_slash: Outcome | None = None
    in_chunks: Outcome | None = None
    large: Outcome | None = None
    burst: tuple[Outcome, ...] = ()

    def timed(self) -> Iterator[Outcome]:
        """Yield what tells how quick the endpoint is: not the large one, whose upload takes time."""
        yield self.verified
        for outcome in (
            self.verified_again,
            self.verified_wrongly,
            self.delivered,
            self.delivered_wrongly,
            self.with_other_slash,
            self.in_chunks,
            *self.with_other_secrets.values(),
            *self.burst,
        ):
            if outcome is not None:
                yield outcome


def ask(send: Send, url: str, *, header: str, live: Sequence[str], large: int = LARGE) -> Answers:
    """Send the probes to an endpoint: 31 requests at the most, none with an event in it.

    :param header: The header that carries the secret.
    :param live: The live secrets; none if it takes everybody.
    :param large: The size of the large delivery.
    """
    right = {header: live[0]} if live else {}
    # A new value each time, so that no cache has an answer to it.
    wrong = {header: secrets.token_urlsafe(24)}
    endpoint = _Endpoint(send, url)
    challenge, second = secrets.token_urlsafe(30), secrets.token_urlsafe(30)
    answers = Answers(challenge=challenge, verified=endpoint.get(challenge, right))
    if answers.verified.status is None:
        return answers
    answers.delivered = endpoint.post(right)
    answers.second_challenge = second
    answers.verified_again = endpoint.get(second, right)
    if live:
        answers.verified_wrongly = endpoint.get(secrets.token_urlsafe(30), wrong)
        answers.delivered_wrongly = endpoint.post(wrong)
    if answers.delivered.status != HTTPStatus.NO_CONTENT:
        return answers
    for number, secret in list(enumerate(live))[1 : 1 + _MORE_SECRETS]:
        answers.with_other_secrets[number] = endpoint.post({header: secret})
    if endpoint.has_path:
        answers.with_other_slash = endpoint.post(right, other_slash=True)
    answers.in_chunks = endpoint.post(right, in_chunks=True)
    answers.large = endpoint.post(right, size=large)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers.burst = tuple(pool.map(lambda _: endpoint.post(right), range(BURST)))
    return answers


class OwnAnswers(NamedTuple):
    """What the app answers in this process, before any server or proxy."""

    challenge: str
    verified: Outcome
    delivered: Outcome
    large: Outcome | None


def ask_app(send: Send, url: str, *, header: str, live: Sequence[str], large: int) -> OwnAnswers:
    """Ask the app itself, in this process: a verification and two deliveries without events.

    The parameters are those of :func:`ask`.
    """
    right = {header: live[0]} if live else {}
    endpoint = _Endpoint(send, url)
    challenge = secrets.token_urlsafe(30)
    verified = endpoint.get(challenge, right)
    delivered = endpoint.post(right)
    is_through = delivered.status == HTTPStatus.NO_CONTENT
    large_one = endpoint.post(right, size=large) if is_through else None
    return OwnAnswers(challenge, verified, delivered, large_one)


class _Endpoint:
    """Where the probes go. After it has not answered twice, it is not asked any more."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = url
        self._timeouts = 0
        self.has_path = urlsplit(url).path not in ("", "/")

    def get(self, challenge: str, headers: Mapping[str, str]) -> Outcome:
        return self._ask("GET", self._url, {CHALLENGE_HEADER: challenge, **headers})

    def post(
        self,
        headers: Mapping[str, str],
        *,
        size: int = 0,
        other_slash: bool = False,
        in_chunks: bool = False,
    ) -> Outcome:
        # Padded with blanks, which JSON allows at its end.
        body = json.dumps({"data": {"events": []}}).encode().ljust(size)
        parts = urlsplit(self._url)
        path = parts.path.rstrip("/") + ("" if parts.path.endswith("/") else "/")
        url = parts._replace(path=path).geturl() if other_slash else self._url
        headers = {"Content-Type": "application/json", **headers}
        return self._ask("POST", url, headers, body, chunked=in_chunks)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        chunked: bool = False,
    ) -> Outcome:
        if self._timeouts >= _MOST_TIMEOUTS:
            return Outcome(seconds=PROBE_TIMEOUT, error=TimeoutError())
        request = Request(
            method=method,
            url=url,
            headers={"Accept": "application/json", **headers},
            body=body,
            chunked=chunked,
        )
        began = time.monotonic()
        try:
            answer = self._send(request)
        except Exception as error:  # noqa: BLE001 - in process it may be any of the host's
            self._timeouts += isinstance(error, TimeoutError)
            return Outcome(seconds=time.monotonic() - began, error=error)
        return Outcome(
            seconds=time.monotonic() - began,
            status=answer.status,
            body=answer.body,
            location=answer.location,
            is_ours=answer.is_problem,
        )

"""What an endpoint says to a verification before Okta is given its URL and secret.

Okta takes a replacement at once and verifies it afterwards, and it never tells the secret that it had: what turns out
to be wrong then cannot be put back from here.
"""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.calling import HttpSender, Request
from okta_hooks.secret import revealed
from okta_hooks.wire.protocol import CHALLENGE_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from okta_hooks.calling import Answer

#: Longer than Okta waits: the way from here may be longer.
_TIMEOUT_SECONDS: Final = 10.0


class NotAsked(Exception):
    """The endpoint could not be asked from here, which does not say that Okta cannot.

    :param reason: What happened instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def complaint(document: Mapping[str, Any]) -> str | None:
    """Ask an endpoint as Okta will, and return what is wrong with its answer, or None.

    :param document: What Okta is to be given of the hook, with the secret.
    :raises NotAsked: if there is no answer.
    """
    challenge = secrets.token_urlsafe(30)
    request = _request(document["channel"]["config"], challenge)
    try:
        answer = HttpSender(_TIMEOUT_SECONDS)(request)
    except TimeoutError as error:
        raise NotAsked(f"there was no answer within {_TIMEOUT_SECONDS:.0f} s") from error
    except OSError as error:
        raise NotAsked(str(error) or type(error).__name__) from error
    return _wrong_with(answer, challenge)


def _request(config: Mapping[str, Any], challenge: str) -> Request:
    headers = {"Accept": "application/json", CHALLENGE_HEADER: challenge}
    headers |= {each["key"]: each["value"] or "" for each in config.get("headers") or ()}
    scheme = config.get("authScheme")
    if scheme:
        headers[scheme["key"]] = revealed(scheme["value"])
    return Request(method="GET", url=config["uri"], headers=headers)


def _wrong_with(answer: Answer, challenge: str) -> str | None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return "it answered 401: its secret is another than the one that Okta would be given"
    if answer.status != HTTPStatus.OK:
        return f"it answered {answer.status} to a verification, and Okta wants 200"
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("verification") != challenge:
        return "it does not give back the challenge of a verification: is it this app's hook?"
    return None

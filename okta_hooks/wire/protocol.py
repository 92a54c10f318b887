"""The rules by which Okta and an endpoint talk: the verification, the secret, times and keys.

https://developer.okta.com/docs/concepts/event-hooks/
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.secret import Secret

#: The header of the one GET by which Okta checks who owns the endpoint.
CHALLENGE_HEADER: Final = "X-Okta-Verification-Challenge"
#: Okta's own challenges are about 40 characters long.
LONGEST_CHALLENGE: Final = 1024
#: Where Okta puts the secret unless it is told otherwise.
DEFAULT_AUTH_HEADER: Final = "Authorization"

#: What may be wrong with a request without the header: it is logged.
NO_HEADER: Final = "no such header: is the authentication field at Okta named as configured here?"


def answer_challenge(challenge: str) -> str:
    """Return the JSON text that proves to Okta that this endpoint expects it.

    :param challenge: The value of the challenge header.
    """
    return json.dumps({"verification": challenge})


def path_of(url: str) -> str:
    """Return the path of a URL, without a slash at its end: a hook answers with and without one."""
    return urlsplit(url).path.rstrip("/") or "/"


def encodings(secret: Secret) -> tuple[bytes, ...]:
    """Return the bytes that a secret may be on the wire.

    HTTP does not say how a header with other than ASCII characters is encoded:
    UTF-8 and, where it can be, Latin-1 are both the secret.
    """
    text = secret.reveal()
    utf8 = text.encode()
    try:
        latin1 = text.encode("latin-1")
    except UnicodeEncodeError:
        return (utf8,)
    return (utf8,) if latin1 == utf8 else (utf8, latin1)


def authenticate(presented: bytes, secrets: Sequence[Secret]) -> int | None:
    """Return the position of the secret that was presented, or None if it is none of them.

    Every secret is compared, each in constant time: the time it takes depends on lengths only.

    :param presented: The raw bytes of the header, with no scheme taken off:
        ``Basic dXNlcjpwYXNz`` is a secret like any other.
    :param secrets: The secrets that are live, during a rotation more than one.
    """
    matched = None
    for position, secret in enumerate(secrets):
        for expected in encodings(secret):
            if hmac.compare_digest(presented, expected) and matched is None:
                matched = position
    return matched


def tag_of(secrets: Sequence[Secret]) -> int:
    """Return a 16-bit hash of a list of secrets and their order, by which it is told from another list.

    It is stored, so it is short on purpose: one in 65,536 of all guesses at a secret has the same tag,
    and who reads the tag would still have to try these at the app. Two lists share a tag by chance as rarely.
    """
    digest = hashlib.blake2b(digest_size=2)
    for secret in secrets:
        value = secret.reveal().encode()
        digest.update(len(value).to_bytes(8))
        digest.update(value)
    return int.from_bytes(digest.digest())


def hint(presented: bytes, secrets: Sequence[Secret]) -> str:
    """Return what may be wrong with a header that did not match, judged by its length alone: it is logged.

    :param presented: The raw bytes of the header.
    """
    lengths = {len(expected) for secret in secrets for expected in encodings(secret)}
    if len(presented) > max(lengths):
        return "longer than the secret: a scheme in front of it, or the header twice?"
    if len(presented) < min(lengths):
        return "shorter than the secret: was it cut when it was copied?"
    return "as long as a secret can be, but another value"


def okta_time(moment: datetime) -> str:
    """Return a time as Okta writes it: UTC, in milliseconds, with a ``Z``."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def okta_key(name: str) -> str:
    """Return Okta's spelling of a key: ``eventType`` for ``event_type``, ``from`` for ``from_``.

    :param name: An attribute of one of the classes of events, or a key that is in Okta's spelling already.
    """
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

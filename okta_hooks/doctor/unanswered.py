"""Why a request got no answer, in words, and what to do about it."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .probes import Outcome

_PUBLIC: Final = "Use one of a public authority: Okta trusts no other."
_CHAIN: Final = "Let the server send the whole chain, with the intermediate certificates."

#: By the code that OpenSSL gives: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_CERTIFICATES: Final[Mapping[int, tuple[str, str]]] = {
    9: ("is not valid yet", "Check the clock of this machine, and the certificate."),
    10: ("has expired", "Renew it, and see why that has not happened by itself."),
    18: ("is signed by itself", _PUBLIC),
    19: ("is of an authority of your own", _PUBLIC),
    20: ("is of an authority that is not known here", _CHAIN),
    21: ("comes without the rest of its chain", _CHAIN),
    62: ("is for another host", "Get one for this name, or register the name that it is for."),
    64: ("is for another address", "Register a name that it is for, rather than an address."),
}

#: The first that fits counts.
_ERRORS: Final[tuple[tuple[type[Exception], tuple[str, str]], ...]] = (
    (
        ssl.SSLError,
        ("TLS fails", "Is it https that listens at this port, with a certificate?"),
    ),
    (
        socket.gaierror,
        ("the name of the host is not known", "Correct the URL, or the DNS."),
    ),
    (
        ConnectionRefusedError,
        (
            "the connection is refused, nothing listens there",
            "Start the app, or correct host and port.",
        ),
    ),
    (
        ConnectionError,
        (
            "the connection breaks off",
            "Is it HTTP, of the kind that the URL says, that listens at this port?",
        ),
    ),
    (http.client.HTTPException, ("what comes is not HTTP", "Is this the port of the web server?")),
    (OSError, ("the host cannot be reached", "Does it answer from another machine?")),
)
_TIMEOUT: Final = (
    "A firewall that drops packets, an app that hangs, or too few workers: "
    "does it answer from its own machine?"
)


def diagnosis(outcome: Outcome) -> tuple[str, str]:
    """Return why there was no answer, and what to do."""
    error = outcome.error
    if isinstance(error, TimeoutError):
        return f"nothing came within {outcome.seconds:.0f} s.", _TIMEOUT
    if isinstance(error, ssl.SSLCertVerificationError):
        text, cure = _CERTIFICATES.get(
            error.verify_code, (f"is not valid ({error.verify_message})", "Renew it.")
        )
        return f"the certificate {text}.", cure
    for kind, (text, cure) in _ERRORS:
        if isinstance(error, kind):
            return f"{text} ({type(error).__name__}).", cure
    # An app that is asked in this process raises its own errors if it is in debug mode or testing.
    name = type(error).__name__
    return f"{name} was raised.", "Look for a before_request of the app: its log has the traceback."

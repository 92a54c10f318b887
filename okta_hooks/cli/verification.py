"""What people are told of a verification that has failed, and of the command that goes on from there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import VerificationFailed, as_sentence
from okta_hooks.org.urls import shown

if TYPE_CHECKING:
    from okta_hooks.state import AppState

#: The status of the endpoint. What is Okta's own comes first in what it says, and is that of its API.
_STATUS: Final = re.compile(
    r"(?<!Okta )(?:answered|status|code|returned|response)\D{0,12}\b([1-5]\d\d)\b", re.IGNORECASE
)
_CERTIFICATE: Final = re.compile(r"certificate|\bssl\b|\btls\b|wrong version number", re.IGNORECASE)
_NOBODY: Final = re.compile(
    r"refused|tim(?:ed|e)[ -]?out|unreachable|no route|no answer|unknown host|resol|not known|connect",
    re.IGNORECASE,
)
_OTHER_ANSWER: Final = re.compile(r"challenge|json|invalid response", re.IGNORECASE)


def command(
    state: AppState, hook: str, *, name: str | None, url: str | None, named: bool = False
) -> str:
    """Return the command that verifies a hook, as it works where nothing else says which hook is meant.

    :param hook: The hook's name in the app.
    :param name: Its name at Okta.
    :param url: Its URL at Okta.
    :param named: Whether its URL alone does not say which it is.
    """
    words = ["flask okta-hooks verify"]
    if len(state.hooks) > 1:
        words.append(f"--hook {shlex.quote(hook)}")
    # A URL that is cut short would be another one.
    is_whole = bool(url) and shown(url or "") == url
    if name and (named or not is_whole):
        words.append(f"--name {shlex.quote(name)}")
    if is_whole:
        words.append(f"--url {shlex.quote(url or '')}")
    return " ".join(words)


def state_at_okta(error: VerificationFailed) -> str:
    """Return in a sentence what has become of a hook at Okta whose verification has failed."""
    if error.status is None:
        return "Whether the hook is verified at Okta could not be read."
    if error.status == "VERIFIED":
        return "At Okta the hook is VERIFIED still, and goes on getting events."
    return f"At Okta the hook is {error.status}, and gets no events."


def cure(error: VerificationFailed) -> str:
    """Return what to look at, by what Okta has said of the endpoint."""
    url, said = shown(error.url), as_sentence(error)
    found = _STATUS.search(said)
    status = int(found[1]) if found else None
    if status is not None and status != 200:  # noqa: PLR2004 - as Okta says it
        return _cure_of_status(status, url, has_new_secret=error.has_new_secret)
    if _CERTIFICATE.search(said):
        return f"Okta wants a valid certificate that a public authority has signed: has {url} one?"
    if _NOBODY.search(said):
        return f"Nobody answered: is the app running at {url}, and can Okta reach it?"
    if _OTHER_ANSWER.search(said):
        return f"Something else answers at {url}: is it the hook's URL, and does a login page stand before it?"
    whole = url if url == error.url else "<the whole URL>"
    return f"flask okta-hooks doctor --url {shlex.quote(whole)} asks the same from here, and says what comes back."


def _cure_of_status(status: int, url: str, *, has_new_secret: bool) -> str:
    answered = f"It answered {status}:"
    if status in (401, 403):
        if has_new_secret:
            return f"{answered} the running app has another secret than the first one of OKTA_HOOKS_SECRET here."
        return (
            f"{answered} the running app has another secret than Okta; "
            "apply --rotate gives Okta the first one of OKTA_HOOKS_SECRET."
        )
    if status == 404:  # noqa: PLR2004 - as Okta says it
        return f"{answered} is {url} the path of the hook in the running app?"
    if 300 <= status < 400:  # noqa: PLR2004 - as Okta says it
        return f"{answered} Okta follows no redirect, so the hook needs the URL that it leads to."
    if status >= 500:  # noqa: PLR2004 - as Okta says it
        return f"{answered} the log of the app, or of the proxy before it, says why."
    return f"{answered} does the request reach the app, or does something before it answer?"

"""What can go wrong, named for what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_sentence(error: Exception) -> str:
    """Return what an error says with a full stop, if it does not end like a sentence anyway."""
    text = str(error)
    return text if text.endswith((".", "?", "!")) else f"{text}."


class OktaHooksError(Exception):
    """The base of every error this library raises on its own account.

    Its text stands on one line: what comes from elsewhere, such as from Okta, is escaped where it does not show.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class UnreadableDelivery(OktaHooksError):
    """A request body that holds no events: it is refused as a whole.

    :param reason: What is wrong with it, without quoting any of it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnreadableEvent(OktaHooksError):
    """One element of a delivery that is no event: it becomes a dead letter.

    :param reason: What is wrong with it, without quoting any of it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigurationError(OktaHooksError, RuntimeError):
    """A configuration, or a registration, that cannot be right. The message names the key and the cure."""


class InboxUnavailable(OktaHooksError):
    """The database of the inbox did not do what it was asked.

    :param reason: The database's own words, without any values.
    :param is_transient: Whether the same may work later: the database is locked, full, or away.
    :param connection_lost: Whether a new connection may help.
    """

    def __init__(
        self, reason: str, *, is_transient: bool = True, connection_lost: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_transient = is_transient
        self.connection_lost = connection_lost


class OktaUnavailable(OktaHooksError):
    """The org gave no answer that can be read.

    :param reason: What happened instead.
    :param is_transient: Whether the same may work later. A redirect, or a page that is none, will not.
    """

    def __init__(self, reason: str, *, is_transient: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_transient = is_transient


class OktaRefused(OktaHooksError):
    """The org answered that it does not do what it was asked for.

    https://developer.okta.com/docs/reference/error-codes/

    :param status: The status of the answer.
    :param code: Okta's error code, such as ``E0000011``, or None.
    :param summary: What Okta says with that code, or None.
    :param causes: What is wrong in particular.
    :param retry_after: For how many seconds not to ask again, if the answer says so.
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        summary: str | None,
        causes: Sequence[str] = (),
        *,
        retry_after: float | None = None,
    ) -> None:
        said = ": ".join([part for part in (code, summary) if part] or ["it gave no reason"])
        particulars = f" ({'; '.join(causes)})" if causes else ""
        super().__init__(f"Okta answered {status}: {said}{particulars}")
        self.status = status
        self.code = code
        self.summary = summary
        self.causes = tuple(causes)
        self.retry_after = retry_after


class SubscriptionImpossible(OktaHooksError):
    """What the receivers need, or what was said of the hook, cannot be registered at Okta.

    :param reason: Why, and what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class VerificationFailed(OktaHooksError):
    """Okta has not verified a hook.

    :param url: Where Okta's request went.
    :param reason: What Okta said.
    :param has_new_secret: Whether Okta was given a secret before, which it keeps.
    :param name: What the hook is called at Okta.
    :param status: Whether Okta has the hook as ``"VERIFIED"`` or ``"UNVERIFIED"`` now, or None if that is not known.
    """

    def __init__(
        self,
        url: str,
        reason: str,
        *,
        has_new_secret: bool = False,
        name: str | None = None,
        status: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.has_new_secret = has_new_secret
        self.name = name
        self.status = status
        self.url = url
        self.reason = reason


class RetryLater(OktaHooksError):
    """Raised by a receiver that wants the same event again, later.

    It counts as an attempt.

    :param seconds: How long to wait at least before the next attempt; more than 7 days are taken as 7 days.
    :raises ValueError: if ``seconds`` is negative or not finite.
    """

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"RetryLater takes a number of seconds from 0, not {seconds!r}")
        super().__init__(seconds)
        self.seconds = float(seconds)

    def __str__(self) -> str:
        return f"the receiver asked for another attempt in {self.seconds:g} s"


class Reject(OktaHooksError):
    """Raised by a receiver that will never be able to handle this event.

    No further attempt is made: for this receiver the event is a dead letter.

    :param reason: Why, for the person who will read the dead letter.
        It is stored and logged, so it must not hold anything secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownEventTypeWarning(UserWarning):
    """A pattern for which nothing is subscribed to: unknown, in the System Log only, or over types in beta alone."""

"""What the answers to the probes mean for a hook, and what to do about them."""

from __future__ import annotations

import ipaddress
import statistics
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from okta_hooks.calling import TIMEOUT
from okta_hooks.org.urls import shown

from .check import failure, ok, ordinal, skipped, warning
from .refusals import (
    ANOTHER_SECRET,
    CACHE,
    CHUNKS,
    HEADER_CURE,
    LIMIT,
    LOOK_IN_FRONT,
    NO_204,
    other_path,
    redirect,
    unwanted,
)
from .unanswered import diagnosis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .check import Check
    from .probes import Answers
    from .refusals import Expected

_SLOW: Final = 1.0


def url(expected: Expected) -> Iterator[Check]:
    """Look at the URL itself, before anything is sent there."""
    name = "url"
    parts = urlsplit(expected.url)
    if is_private(parts.hostname or ""):
        yield warning(
            name,
            f"{shown(expected.url)} is no address that Okta can reach. "
            "What follows is as seen from here.",
            "Ask once more with the public https URL, which the proxy is in front of.",
        )
    elif parts.scheme != "https":
        yield failure(
            name,
            f"{shown(expected.url)} is not https: Okta calls no other, and the secret is not sent in the clear.",
            "Register and ask for the https URL.",
        )
    else:
        yield ok(name, f"{shown(expected.url)} is https.")


def is_private(host: str) -> bool:
    """Return whether a host is on this machine or in a private network, by its name alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return address.is_private


def checks(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Say what the answers mean."""
    if answers.verified.status is None:
        text, cure = diagnosis(answers.verified)
        yield failure("reachable", f"No answer: {text}", cure)
        yield skipped("delivery", "What else there is to ask needs an answer.")
        return
    yield ok("reachable", "It answers.")
    yield from redirects(answers, expected)
    yield from challenge(answers, expected)
    yield from header(answers, expected)
    yield from delivery(answers, expected)
    yield from wrong_secret(answers)
    yield from other_secrets(answers)
    yield from chunked(answers, expected)
    yield from large(answers)
    yield from burst(answers)
    yield from speed(answers)


def redirects(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Look for redirects, which Okta does not follow."""
    name = "redirect"
    for method, outcome in (("GET", answers.verified), ("POST", answers.delivered)):
        if outcome is not None and outcome.is_redirect:
            text, cure = redirect(outcome, expected)
            yield failure(name, f"A {method} is answered with {outcome.status}: {text}", cure)
            return
    other = answers.with_other_slash
    if other is not None and other.status != HTTPStatus.NO_CONTENT:
        yield warning(
            name,
            f"With or without the slash at its end it is not the same: the other form is answered with "
            f"{other.status or 'nothing'}.",
            "Register the URL exactly as it was asked here.",
        )
        return
    yield ok(name, "There is none: Okta would not follow it.")


def challenge(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Look at how the verification is answered."""
    name = "challenge"
    first, again = answers.verified, answers.verified_again
    if first.is_redirect:
        return
    if first.status != HTTPStatus.OK:
        text, cure = unwanted(first, expected)
        if first.is_ours and first.status == HTTPStatus.UNAUTHORIZED:
            # Without the header it would be 200.
            text, cure = ANOTHER_SECRET
        yield failure(name, f"The verification is answered with {first.status}: {text}", cure)
        return
    if again is not None and again.status == HTTPStatus.OK and first.body == again.body:
        said = (
            "an old answer"
            if first.verification
            else "the same page, which is none of this library's"
        )
        cure = CACHE if first.verification else other_path(expected)
        yield failure(
            name, f"Two different challenges get {said}: Okta cannot verify the hook.", cure
        )
        return
    if first.verification != answers.challenge or (
        again is not None and again.verification != answers.second_challenge
    ):
        yield failure(
            name,
            "The verification is answered with 200, but not with the challenge.",
            CACHE if first.verification else other_path(expected),
        )
        return
    yield ok(name, "Two challenges were given back as they are.")


def header(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Look at whether the header with the secret arrives."""
    name = "auth-header"
    wrong, right = answers.verified_wrongly, answers.delivered
    if wrong is None or answers.verified.verification != answers.challenge:
        return
    if wrong.status == HTTPStatus.OK:
        if (
            answers.delivered_wrongly is not None
            and answers.delivered_wrongly.status == HTTPStatus.NO_CONTENT
        ):
            return
        also = (
            " from deliveries, too: each gets 401"
            if right and right.status == HTTPStatus.UNAUTHORIZED
            else ""
        )
        yield failure(
            name,
            f"The header {expected.header} does not arrive: a verification with a wrong secret is answered "
            f"as if there were none. Something in front takes it away{also}, "
            "or the served app expects another header.",
            f"{HEADER_CURE} The same setting must be in force where the app is served.",
        )
    elif wrong.status == HTTPStatus.UNAUTHORIZED and wrong.is_ours:
        yield ok(name, f"{expected.header} arrives: a verification with a wrong secret gets 401.")
    else:
        text, cure = unwanted(wrong, expected)
        not_401 = "" if wrong.status == HTTPStatus.UNAUTHORIZED else ", not 401"
        yield warning(
            name, f"A verification with a wrong secret gets {wrong.status}{not_401}: {text}", cure
        )


def delivery(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Look at how a delivery is answered."""
    name = "delivery"
    outcome = answers.delivered
    if outcome is None or outcome.is_redirect:
        return
    if outcome.status == HTTPStatus.NO_CONTENT:
        yield ok(name, "One without events is answered with 204.")
        return
    text, cure = unwanted(outcome, expected)
    wrong = answers.verified_wrongly
    if outcome.status == answers.verified.status != HTTPStatus.OK:
        cure = "As for challenge."
    elif outcome.status == HTTPStatus.UNAUTHORIZED and wrong and wrong.status == HTTPStatus.OK:
        text, cure = "the secret does not arrive.", "As for auth-header."
    elif _only_204_fails(answers):
        text, cure = NO_204
    yield failure(name, f"One without events is answered with {outcome.status}: {text}", cure)


def _only_204_fails(answers: Answers) -> bool:
    """Return whether the hook's other answers come through, and a 500 that it does not give comes instead of 204."""
    delivered, refused = answers.delivered, answers.delivered_wrongly
    return (
        answers.verified.verification == answers.challenge
        and delivered is not None
        and delivered.status == HTTPStatus.INTERNAL_SERVER_ERROR
        and not delivered.is_ours
        and refused is not None
        and refused.is_ours
    )


def wrong_secret(answers: Answers) -> Iterator[Check]:
    """Look at whether a wrong secret is noticed."""
    name = "wrong-secret"
    outcome = answers.delivered_wrongly
    if outcome is None:
        return
    if outcome.status == HTTPStatus.NO_CONTENT:
        yield failure(
            name,
            "A delivery with a wrong secret is accepted: anybody can post events.",
            "Set OKTA_HOOKS_SECRET where the app is served, drop OKTA_HOOKS_ALLOW_UNAUTHENTICATED, "
            "and see that no proxy adds the secret.",
        )
    elif outcome.status == HTTPStatus.UNAUTHORIZED and outcome.is_ours:
        yield ok(name, "A delivery with a wrong secret gets 401.")


def other_secrets(answers: Answers) -> Iterator[Check]:
    """Look at whether the served app knows every live secret."""
    for number, outcome in answers.with_other_secrets.items():
        if outcome.status == HTTPStatus.UNAUTHORIZED:
            yield failure(
                "delivery",
                f"The served app does not know the secret in {ordinal(number)} position.",
                "Give the same OKTA_HOOKS_SECRET to it, and restart it.",
            )


def chunked(answers: Answers, expected: Expected) -> Iterator[Check]:
    """Look at whether a body comes through that is sent in chunks, without its length."""
    name = "chunked"
    outcome = answers.in_chunks
    if outcome is None:
        return
    if outcome.status == HTTPStatus.NO_CONTENT:
        yield ok(name, "A delivery in chunks, without a length, is accepted.")
        return
    if outcome.is_ours or outcome.status in (
        HTTPStatus.LENGTH_REQUIRED,
        HTTPStatus.NOT_IMPLEMENTED,
    ):
        text, cure = CHUNKS
    else:
        text, cure = unwanted(outcome, expected)
    said = f"with {outcome.status}" if outcome.status else "with a broken connection"
    yield warning(name, f"A delivery in chunks, without a length, is answered {said}: {text}", cure)


def large(answers: Answers) -> Iterator[Check]:
    """Look at whether a delivery of a megabyte comes through."""
    name = "body-size"
    outcome = answers.large
    if outcome is None:
        return
    if outcome.status == HTTPStatus.NO_CONTENT:
        yield ok(name, "A delivery of 1 MiB is accepted.")
    elif outcome.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and outcome.is_ours:
        yield warning(
            name,
            "OKTA_HOOKS_MAX_BODY is less than 1 MiB, and Okta names no maximum.",
            "Leave it at its default, 10 MiB.",
        )
    else:
        # A server may hang up while a body comes that is too large for it.
        said = f"with {outcome.status}" if outcome.status else "with a broken connection"
        yield failure(
            name,
            f"A delivery of 1 MiB is answered {said}: what Okta sends in a burst would be lost.",
            "Raise the limit in front, client_max_body_size of nginx and the like, to 10 MB. In the app "
            "MAX_CONTENT_LENGTH counts only for what reads the body before the hook does: let it pass the hook by.",
        )


def burst(answers: Answers) -> Iterator[Check]:
    """Look at whether many deliveries at once come through."""
    name = "burst"
    if not answers.burst:
        return
    bad = [each for each in answers.burst if each.status != HTTPStatus.NO_CONTENT]
    number = len(answers.burst)
    if not bad:
        yield ok(name, f"{number} quick deliveries are accepted.")
        return
    refused = [each for each in bad if each.status == HTTPStatus.TOO_MANY_REQUESTS]
    if refused:
        yield failure(
            name,
            f"Of {number} quick deliveries {len(refused)} get 429: a rate limiter would lose events.",
            LIMIT,
        )
        return
    yield failure(
        name,
        f"Of {number} quick deliveries {len(bad)} are not accepted; the last: {bad[-1].status or 'no answer'}.",
        LOOK_IN_FRONT,
    )


def speed(answers: Answers) -> Iterator[Check]:
    """Look at how long the answers took, against Okta's 3 seconds."""
    name = "answer-time"
    seconds = [each.seconds for each in answers.timed()]
    worst = max(seconds)
    text = (
        f"{len(seconds)} answers: {statistics.median(seconds):.2f} s in the middle, "
        f"{worst:.2f} s the longest"
    )
    cure = "More processes or threads for the web server; what runs before each request; a database nearer by."
    if worst > TIMEOUT:
        yield failure(name, f"{text}. Okta waits {TIMEOUT:.0f} s.", cure)
    elif worst > _SLOW:
        yield warning(
            name, f"{text}. Okta waits {TIMEOUT:.0f} s, and its way here is longer.", cure
        )
    else:
        yield ok(name, f"{text}. Okta waits {TIMEOUT:.0f} s.")

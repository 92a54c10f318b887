from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okta_hooks import catalog
from okta_hooks.masking import MASK, masked, masked_text
from okta_hooks.testing import make_event

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What must not be seen, in the forms that it has in events.
PERSONAL = st.one_of(
    st.emails(),
    st.ip_addresses().map(str),
    st.sampled_from(
        [
            *("Ada Lovelace", "ada.lovelace", "Lovelace", "ada", "User Smith", "o'Neill", "Zoë"),
            *("user.smith", "core", "core.smith", "1.2.3.4", "10.1.1.1", "+49 170 1234567"),
            *("00u1abcdefGHIJKL0h7", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "sk_live_4eC39HqLyjWDarjtT1"),
            *(
                "hunter2",
                "2026",
                "1990-02-31T",
                "SUCCESS ada",
                "WEB/ada",
                "*",
                "DE89370400440532013000",
            ),
        ]
    ),
    st.integers(min_value=100),
    st.floats(),
)
#: The places in which a value may stay.
PLACES = [
    *("uuid", "published", "eventType", "version", "severity", "legacyEventType", "eventId"),
    *("eventTime", "eventTypeVersion", "cloudEventsVersion", "contentType", "insertionTimestamp"),
    *("outcome.result", "target.type", "actor.type", "transaction.type", "displayMessage"),
    *("authenticationContext.authenticationStep", "client.ipAddress", "debugContext.debugData.x"),
]


def leaves(document: Any) -> Iterator[Any]:
    if isinstance(document, dict):
        for value in document.values():
            yield from leaves(value)
    elif isinstance(document, list):
        for value in document:
            yield from leaves(value)
    else:
        yield document


def placed(place: str, value: Any) -> Any:
    """Return an event that has a value in a place, in lists as well."""
    document: Any = value
    for name in reversed(place.split(".")):
        document = {name: [document, document] if name == "target" else document}
    return document


@given(st.sampled_from(PLACES), PERSONAL, st.booleans())
def test_nothing_personal_passes(place: str, value: Any, in_delivery: bool) -> None:
    """Whatever stands in the place of an event type, a time or a version: it is shown only if it has that shape."""
    event = placed(place, value)
    shown = masked({"data": {"events": [event]}} if in_delivery else event)

    assert set(leaves(shown)) == {MASK}


@given(st.recursive(PERSONAL, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_values_of_unknown_shape_are_masked(document: Any) -> None:
    """Lists keep their length and objects their number of keys, and no leaf is left; what is shown is JSON."""
    shown = masked(document)

    def same(was: Any, now: Any) -> bool:
        if isinstance(was, dict | list):
            inner = [was.values(), now.values()] if isinstance(was, dict) else [was, now]
            return len(was) == len(now) and all(map(same, *inner))
        return bool(now == MASK)

    assert same(document, shown)
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize(
    "event_type", ["application.user_membership.add", "group.user_membership.add"]
)
def test_of_an_event_its_structure_is_seen(event_type: str) -> None:
    """Its type, uuid and times, how it ended, and the types of those that it is about stay; keys do, too."""
    event = make_event(event_type)
    shown = masked(event)

    kept = ("uuid", "published", "eventType", "version", "severity")
    assert {name: shown[name] for name in kept} == {name: event[name] for name in kept}
    assert shown["outcome"]["result"] == event["outcome"]["result"]
    assert [each["type"] for each in shown["target"]] == [each["type"] for each in event["target"]]
    assert shown["actor"]["type"] == event["actor"]["type"]
    assert shown.keys() == event.keys()
    text = json.dumps(shown)
    for secret in (event["actor"]["alternateId"], event["actor"]["displayName"], "@"):
        assert secret not in text
    assert shown["displayMessage"] == MASK


def test_of_a_delivery_its_structure_is_seen() -> None:
    """What tells deliveries apart stays; the name of the org, which is in the source, does not."""
    delivery = {
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "eventId": "b5a188b9-5ece-4636-b041-482ffda96311",
        "eventTime": "2026-03-26T21:05:32.159Z",
        "contentType": "application/json",
        "data": {"events": [{"eventType": "user.session.start", "actor": None, "version": 0}]},
    }

    assert masked(delivery | {"source": "https://acme.okta.com/x"}) == delivery | {"source": MASK}


def test_every_type_of_the_catalogue_is_shown() -> None:
    """What Okta publishes is nobody's name."""
    assert all(masked({"eventType": name})["eventType"] == name for name in catalog.entries())
    assert masked({"legacyEventType": "core.user_auth.login_success"}) != {"legacyEventType": MASK}


def test_keys_that_look_like_data_are_masked() -> None:
    """An address, a number or a token as a key is not shown, and takes no other entry's place."""
    shown = masked(
        {"ada@example.com": 1, "10.0.0.1": 2, "0123456789": 3, "k" * 65: 4, "***": 5, "ok": 6}
    )

    assert list(shown) == ["***", "***2", "***3", "***4", "***5", "ok"]


def test_what_is_nested_without_end_is_masked() -> None:
    """A body that is nested deeper than anything of Okta's neither shows anything nor raises."""
    document: Any = "ada"
    for _ in range(500):
        document = [document]

    assert set(leaves(masked(document))) == {MASK}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("404 for ada@example.com: not found", "404 for ***: not found"),
        ("<ada.lovelace+x@mail.example.co.uk>", "<***>"),
        ("GET /users?login=ada%40example.com 500", "GET *** 500"),
        ('to "ada lovelace"@example.com', "to ***"),
        ("an error that was cut off after ada.lovelace@", "an error that was cut off after ***"),
        ("refused: 10.0.0.17:5432", "refused: ***:5432"),
        ("2001:db8::17 is away", "*** is away"),
        ("from ::ffff:10.0.0.1", "from ***"),
        ("00:1B:44:11:3A:B7", "***"),
        ("call +49 (170) 123-4567 now", "call *** now"),
        ("employee 0012345", "employee ***"),
        ("token 00aBcD1eFgH2iJkL3mNoPq", "token ***"),
        ("at 12:30:45, after 3 tries of 10", "at 12:30:45, after 3 tries of 10"),
        ("ValueError: no_such_receiver_or_handler", "ValueError: no_such_receiver_or_handler"),
    ],
)
def test_errors_are_shown_without_addresses_and_numbers(text: str, shown: str) -> None:
    """Of a receiver's error everything stays that says what has gone wrong."""
    assert masked_text(text) == shown


@given(
    st.text(),
    st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9})?@[a-z]{1,9}\.[a-z]{2,4}", fullmatch=True),
    st.text(),
)
def test_no_address_passes_in_a_text(before: str, address: str, after: str) -> None:
    """Whatever is around it."""
    assert address not in masked_text(before + address + after)

from __future__ import annotations

import json
import sys
from collections import UserDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import UnreadableEvent, load_event
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from collections.abc import Callable

RAW = {
    "uuid": "u1",
    "eventType": "user.account.update_profile",
    "published": "2026-05-04T03:02:01.000Z",
    "severity": ["INFO"],
    "actor": {"id": "00u1", "displayName": "Zoë 👩‍💻"},
    "newKey": 1,
}


@pytest.mark.parametrize(
    "kept",
    [
        dict,
        UserDict,
        MappingProxyType,
        json.dumps,
        lambda raw: json.dumps(raw, ensure_ascii=False).encode(),
        lambda raw: bytearray(json.dumps(raw).encode()),
    ],
    ids=["dict", "UserDict", "mappingproxy", "str", "bytes", "bytearray"],
)
def test_an_event_that_was_kept(kept: Callable[[dict[str, Any]], Any]) -> None:
    """What was kept of an event, however, is read into what its receivers have got."""
    event = reading.load_event(RAW)

    again = load_event(kept(event.raw))

    assert again == event
    assert (again.raw, list(again.problems)) == (RAW, ["severity"])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "not JSON"),
        ("{'eventType': 'a'}", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        ("[" * (sys.getrecursionlimit() + 1), "not JSON"),
        ("[]", "not a JSON object"),
        ('"user.session.start"', "not a JSON object"),
        ("{}", "no eventType"),
        ({"uuid": "u1"}, "no eventType"),
        (
            {"eventType": "com.okta.event_hook", "data": {"events": [RAW]}},
            "a whole delivery: .* data.events",
        ),
    ],
    ids=["empty", "repr", "bytes", "deep", "list", "text", "object", "mapping", "delivery"],
)
def test_what_is_no_event(raw: Any, reason: str) -> None:
    """It is an UnreadableEvent that says what is wrong, without quoting any of it."""
    with pytest.raises(UnreadableEvent, match=reason) as caught:
        load_event(raw)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("raw", [None, 1, [RAW], object()], ids=lambda raw: type(raw).__name__)
def test_what_cannot_hold_an_event(raw: Any) -> None:
    """A programmer's mistake is a TypeError that names what was given."""
    with pytest.raises(TypeError, match=f"not a {type(raw).__name__}"):
        load_event(raw)

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from okta_hooks.console.neutral import fixture
from okta_hooks.testing import make_event

TEXTS = st.text(min_size=3).map(lambda text: f"secret {text}")
WORDS = st.sampled_from(["id", "type", "alternateId", "displayName", "reason", "debugData", "x y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
KEYS = ["actor", "target", "client", "outcome", "debugContext", "device", "displayMessage", "more"]


def made(text: str | None) -> dict[str, Any]:
    """Return the event that a fixture makes."""
    assert text is not None
    names: dict[str, Any] = {}
    exec(text.replace("@pytest.fixture\n", ""), names)  # what is shown is a program
    function = next(each for name, each in names.items() if name.startswith("user_"))
    event: dict[str, Any] = function(functools.partial(make_event, seed=1))
    return event


def leaves(value: Any) -> set[str]:
    """Return the strings in a value, without the shortest and what belongs to every event."""
    if isinstance(value, dict):
        return {leaf for each in value.values() for leaf in leaves(each)}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each)}
    return {value} if isinstance(value, str) else set()


def shape(value: Any) -> Any:
    """Return of what types a value is."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value) if value != "" else ""


def test_the_shape_of_an_event() -> None:
    """The fixture makes an event of the same shape, null where the real one has null, with the same outcome."""
    real = make_event(
        "user.lifecycle.deactivate",
        target=["user:noether@corp.example", "group:Algebra", "user:hilbert@corp.example"],
        outcome={"result": "FAILURE", "reason": "noether@corp.example is needed"},
    )
    real["target"][2]["alternateId"] = None

    neutral = made(fixture(real))

    assert shape(neutral) == shape(real)
    assert neutral["outcome"]["result"] == "FAILURE"
    assert [each["type"] for each in neutral["target"]] == ["User", "UserGroup", "User"]
    assert neutral["target"][2]["alternateId"] is None


def test_who_is_the_same() -> None:
    """Who acts on themselves in the real event does so in the fixture's."""
    real = make_event("user.account.update_password", actor="user:noether@corp.example")

    neutral = made(fixture(real))

    assert real["actor"]["id"] == real["target"][0]["id"]
    assert neutral["actor"]["id"] == neutral["target"][0]["id"] != real["actor"]["id"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_nothing_real_is_left(values: dict[str, Any]) -> None:
    """Whatever stands in an event, none of its texts stands in the fixture, which is a program all the same."""
    real = make_event("user.lifecycle.create", seed="real", target="user:noether@corp.example")
    text = fixture(real | values)

    made(text)
    assert text is not None
    assert "secret" not in text
    kept = {"SUCCESS", "User", "INFO", "WEB"}
    real_texts = {
        leaf for leaf in leaves(real["actor"]) | leaves(real["target"]) if leaf not in kept
    }
    assert not any(each in text for each in real_texts)


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"eventType": 7}, {"eventType": "a'b\"c"}])
def test_what_is_no_event_of_oktas(raw: Any) -> None:
    """Without a type of Okta's there is no fixture."""
    assert fixture(raw) is None

from __future__ import annotations

from typing import Any

import pytest

from okta_hooks.simulator.expressions import UnsupportedExpressionError, read_condition

EVENT: dict[str, Any] = {
    "eventType": "group.user_membership.add",
    "outcome": {"result": "SUCCESS", "reason": None},
    "actor": {"id": "00u1", "type": "User", "alternateId": "ada@example.com", "displayName": "Ada"},
    "target": [
        {"id": "00u2", "type": "User", "alternateId": "bob@example.com", "displayName": "Bob"},
        {"id": "00g1", "type": "UserGroup", "alternateId": "unknown", "displayName": "O'Neill"},
    ],
    "debugContext": {"debugData": {"changedAttributes": "title,manager"}},
}


@pytest.mark.parametrize(
    "expression",
    [
        # These are the forms that Okta's pages have.
        "event.target.?[type eq 'UserGroup'].size()>0 && event.target.?[displayName eq 'Bob'].size()>0",
        "event.target.?[type eq 'UserGroup' && displayName eq 'O''Neill'].size()> 0",
        "event.target.?[type eq 'Nobody'].size() >0 OR event.target.?[id eq '00g1'].size() >0",
        "event.actor.id != null",
        "event.eventType eq 'group.user_membership.add'",
        "event.debugData.changedAttributes.contains('manager')",
        "event.outcome.result == 'SUCCESS'",
        "event.outcome.result ne 'FAILURE'",
        "event.outcome.reason eq null",
        'event.target.?[displayName eq "O\'Neill"].size() == 1',
        "event.target.size() ge 2 and event.target.size() <= 2.0",
        "not (event.actor.displayName eq 'Bob') and !(event.actor.displayName == 'Cy')",
        "!!(event.actor.displayName eq 'Ada')",
        "(event.actor.type) eq 'User'",
        "event.target.?[!(type eq 'User')].?[alternateId eq 'unknown'].size() eq 1",
        "(event.target.?[displayName.contains('ob')].size() lt 2) == true",
        "false || true",
        # "and" binds closer than "or".
        "true || false && false",
        "'a' eq 'a'",
    ],
)
def test_an_expression_is_true_of_an_event(expression: str) -> None:
    """Paths, comparisons, selections, their size, and what joins them mean what they do at Okta."""
    assert read_condition(expression)(EVENT) is True


@pytest.mark.parametrize(
    "expression",
    [
        "event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size() > 0",
        "event.actor.id eq null",
        "event.outcome.reason.contains('LOCKED')",
        "event.outcome.reason eq 'LOCKED_OUT'",
        "event.target.?[alternateId eq 'unknown'].size() gt 1",
        "event.actor.displayName eq 'ada'",
        "!true",
        "(true || false) && false",
    ],
)
def test_an_expression_is_false_of_an_event(expression: str) -> None:
    """So do those that are not true; upper and lower case differ in values."""
    assert read_condition(expression)(EVENT) is False


@pytest.mark.parametrize("target", [None, [], ["00u1"], {}])
def test_what_an_event_does_not_have_is_null(target: Any) -> None:
    """An event without actor, debug data or targets has null there, and no targets."""
    event = {"target": target, "actor": None, "debugContext": {"debugData": ""}}
    for expression in (
        "event.actor.id eq null",
        "event.debugData.changedAttributes eq null",
        "event.target.?[type eq 'User'].size() eq 0",
    ):
        assert read_condition(expression)(event) is True


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "a value is expected at the end"),
        ("event.actor.id", "a boolean is needed, and there is a text at 'event.actor.id'"),
        ("event.actor.id && true", "a boolean is needed, and there is a text at 'event.actor.id"),
        ("true && event.actor.id", "a boolean is needed, and there is a text at 'event.actor.id"),
        ("not event.actor.id eq 'x'", 'a boolean is needed, and there is a text at "not event'),
        ("event.client.ipAddress eq '::1'", "filters know event.eventType, event.outcome.reason"),
        ("event.target.?[name eq 'x'].size() > 0", "of a target, Okta's filters know id, type"),
        ("event.target.?[type].size() > 0", "a boolean is needed, and there is a text at 'type]"),
        ("event.target.?[event.target.size() > 0].size() > 0", "of a target, Okta's filters know"),
        ("user.isMemberOf('00g1')", "of an event, Okta's filters know"),
        ("event.target.![id].size() > 0", "no such sign is known at '[id].size() > 0'"),
        ("event.actor.id.?[type eq 'x'].size() > 0", "targets are needed, and there is a text"),
        ("event.actor.id.toLowerCase() eq 'x'", 'no such method is known at ".toLowerCase()'),
        ("event.actor.id.size() > 1", "no such method is known at '.size()"),
        ("event.target.contains('x')", 'no such method is known at ".contains'),
        ("event.actor.id.contains(1)", "a text is needed, and there is a number at '1)'"),
        ("event.actor.id.contains('x'", ") is expected at the end"),
        ("event.actor.id matches '.*'", "an end is expected at \"matches '.*'\""),
        ("event.actor.id eq 1", "text eq number is not known"),
        ("event.target eq null", "targets eq null is not known"),
        ("event.actor.id > 'a'", "> is for numbers"),
        ("event.actor.id eq 'x", 'no such sign is known at "\'x"'),
        ("event.actor.id eq", "a value is expected at the end"),
        ("event.actor.'x' eq 'x'", "a name is expected at"),
        ("event.actor. eq 'x'", "of an event, Okta's filters know"),
        ("(true", ") is expected at the end"),
        ("true)", "an end is expected at ')'"),
        ("true eq true eq true", "an end is expected at 'eq true'"),
        ("true ? true : false", "no such sign is known at '? true : false'"),
        ("(" * 10_000, "more than 20 brackets in or after each other"),
        ("event.actor.id.contains(" * 10_000, "more than 20 brackets in or after each other"),
        (
            "event.target" + ".?[true]" * 2_000 + ".size() > 0",
            "more than 20 brackets in or after each other",
        ),
    ],
)
def test_what_is_not_supported_is_refused_with_the_place(expression: str, reason: str) -> None:
    """Nothing is guessed at: what is not known here is an error that says what it is, and where."""
    with pytest.raises(UnsupportedExpressionError) as refused:
        read_condition(expression)
    assert reason in str(refused.value)


def test_selections_are_counted_value_by_value() -> None:
    """A few selections of a selection are read, in any number of values beside each other."""
    few = "event.target" + ".?[true]" * 18 + ".size() ge 0"
    assert read_condition(" and ".join([few] * 100))(EVENT) is True


@pytest.mark.parametrize("sign", ["!", "not "])
def test_a_long_row_of_negations_needs_no_stack(sign: str) -> None:
    """However many negations there are, they are read."""
    assert read_condition(sign * 10_001 + "false")(EVENT) is True

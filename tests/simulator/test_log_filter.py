from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from okta_hooks.simulator import RequestRefused
from okta_hooks.simulator.log_fields import keys_of
from okta_hooks.simulator.log_filter import read_log_filter
from okta_hooks.testing import sample_event

from .support import HEADERS, types_in_log, uuids

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from okta_hooks.simulator import Org


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ('eventType eq "user.session.start"', [0]),
        ('event_type eq "user.session.start"', [0]),
        ('eventType eq "user.session.start" or eventType eq "user.session.end"', [0, 1]),
        ('eventType ne "user.session.start"', [1, 2, 3]),
        ('eventType sw "user."', [0, 1, 2]),
        ('eventType co "session"', [0, 1]),
        ('eventType ew ".create"', [3]),
        ('eventType sw "user." and outcome.result eq "FAILURE"', [2]),
        (
            'eventType eq "zone.create" or eventType sw "user." and outcome.result eq "FAILURE"',
            [2, 3],
        ),
        (
            '(eventType eq "zone.create" OR eventType SW "user.") AND outcome.result EQ "SUCCESS"',
            [0, 1, 3],
        ),
        ('not (eventType sw "user.")', [3]),
        ('not(eventType sw "user.") or not (outcome.result eq "SUCCESS")', [2, 3]),
        ('target.alternateId eq "a \\"b\\" (c)"', [3]),
        ('target.alternate_id eq "Office" and target.alternate_id co "(c)"', [3]),
        ('target.alternate_id ne "Office"', [0, 1, 2]),
        ("securityContext.isProxy eq false", [0, 1, 2, 3]),
        ("security_context.is_proxy eq true", []),
        ("outcome.reason pr", [2]),
        ("outcome.reason eq null", [0, 1, 3]),
        ("debugContext.debugData.no_such_key pr", []),
        ('debugContext.debugData.requestUri sw "/"', [0, 1]),
        ("client.geographicalContext.geolocation.lat gt -91", [0, 1, 2, 3]),
        ("client.geographicalContext.geolocation.lat le -91", []),
        ("securityContext.asNumber ge 1 and securityContext.asNumber lt 1", []),
        ('eventType ge "user.session.end" and eventType lt "user.session.start"', [1]),
        ("eventType gt 1", []),
    ],
)
def test_a_filter_finds_what_it_says(org: Org, expression: str, numbers: list[int]) -> None:
    """All of Okta's operators work on any field, in either spelling of its name, and look into lists."""
    there: dict[str, Any] = {"debug_context": {"debugData": {"requestUri": "/login"}}}
    nowhere: dict[str, Any] = {"debug_context": None}
    events = [
        org.emit("user.session.start", **there),
        org.emit("user.session.end", **there),
        org.emit(
            "user.account.lock", outcome={"result": "FAILURE", "reason": "LOCKED_OUT"}, **nowhere
        ),
        org.emit("zone.create", target=["Zone:Office", 'Zone:a "b" (c)'], **nowhere),
    ]
    assert uuids(org.log(filter=expression).events) == [
        events[number][0]["uuid"] for number in numbers
    ]


def refusal(client: FlaskClient, expression: str) -> tuple[str, str]:
    """Return code and summary of the refusal of a filter."""
    response = client.get(f"/api/v1/logs?filter={quote(expression)}", headers=HEADERS)
    assert response.status_code == 400
    error = response.get_json()
    return error["errorCode"], error["errorSummary"]


@pytest.mark.parametrize(
    "path",
    [
        "some_invalid_field",
        "actor.name",
        "eventtype",
        "actor..id",
        "eventType.id",
        "debugContext.debugData.",
        "raw",
        "published",
        "target[id",
    ],
)
def test_a_field_that_events_do_not_have_is_refused(client: FlaskClient, path: str) -> None:
    """Okta names it; ``published`` is a field that ``since`` and ``until`` are for."""
    assert refusal(client, f'{path} eq "a"') == ("E0000053", f"field is not valid: {path}")


@pytest.mark.parametrize(
    ("comparison", "operator", "field"),
    [
        ('debugContext.debugData.url co "/oauth/"', "co", "debugContext.debugData.url"),
        ('debug_context.debug_data.requestUri co "/"', "co", "debug_context.debug_data.requestUri"),
        ('actor eq "00u1"', "eq", "actor"),
        ('target ne "00u1"', "ne", "target"),
        ('debugContext.debugData eq "a"', "eq", "debugContext.debugData"),
        ("eventType sw 1", "sw", "eventType"),
        ("eventType co null", "co", "eventType"),
        ("securityContext.isProxy gt false", "gt", "securityContext.isProxy"),
    ],
)
def test_a_comparison_that_is_not_supported_is_refused(
    client: FlaskClient, comparison: str, operator: str, field: str
) -> None:
    """Okta names operator and field; the first is Okta's own example."""
    code, summary = refusal(client, comparison)
    assert code == "E0000031"
    assert summary.endswith(f"Operator: {operator}, Field: {field}")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            'display_message eqq "Create okta user"',
            "Unrecognized attribute operator 'eqq' at position 16",
        ),
        ("eventType", "not complete"),
        ("eventType eq", "not complete"),
        ('eventType eq "a', "quotation mark is missing from position 13"),
        ("eventType eq a", "'a' at position 13 is no value"),
        ("eventType eq [1]", "no value"),
        ('(eventType eq "a"', "not closed"),
        ('eventType eq "a")', "')' is not expected at position 16"),
        ('eventType eq "a" eventType eq "b"', "not expected"),
        ('not eventType eq "a"', "missing after 'not'"),
        ("(" * 3000, "more than 20"),
        (f"eventType eq {'[' * 10_000}", "no value"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused(
    client: FlaskClient, expression: str, said: str
) -> None:
    """The summary quotes the filter and says what is wrong, and where; the first is Okta's own example."""
    code, summary = refusal(client, expression)
    assert code == "E0000053"
    assert summary.startswith(f"Invalid filter '{expression[:20]}")
    assert said in summary


def paths_of(value: Any, path: str = "") -> set[str]:
    """Return the paths of all fields in an event."""
    if isinstance(value, list):
        return {each for item in value for each in paths_of(item, path)}
    if not isinstance(value, dict):
        return {path}
    return {each for key, item in value.items() for each in paths_of(item, f"{path}.{key}")}


def test_every_field_of_an_event_may_be_named() -> None:
    """What an event has can be filtered by, but for the time when it was published."""
    events = [sample_event("user.session.start", seed=1), sample_event("zone.create", seed=1)]
    paths = {path.removeprefix(".") for event in events for path in paths_of(event)}
    assert len(paths) > 40
    for path in paths - {"published"}:
        assert keys_of(path) == tuple(path.split("."))


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        ("ADA@example.com user.session.end", ["user.session.end"]),
        ("San francisco", ["user.session.end"]),
        ("interestingURI.com", ["user.session.start"]),
        ("2JIRnCFd0gG0GjHAAABjY", ["user.session.start"]),
        ("XOxBw-2JIRnCFd0gG0GjHAAABjY", ["user.session.start"]),
        ("Franc", []),
        ("geographicalContext", []),
        (" ".join(["ada@example.com"] * 10), ["user.session.start", "user.session.end"]),
    ],
)
def test_keywords_find_events_by_their_values(org: Org, keywords: str, found: list[str]) -> None:
    """``q`` wants each of its words as a word of some value, in any case; names of fields are none."""
    org.emit(
        "user.session.start",
        actor="user:ada@example.com",
        transaction={"id": "XOxBw-2JIRnCFd0gG0GjHAAABjY"},
        debug_context={"debugData": {"url": "https://interestingURI.com/start?x=1"}},
    )
    org.emit(
        "user.session.end",
        actor="user:ada@example.com",
        client={"geographicalContext": {"city": "San Francisco"}},
    )
    assert types_in_log(org, q=keywords) == found


@pytest.mark.parametrize(
    ("keywords", "said"), [("a " * 11, "more than 10 items"), ("a" * 41, "longer than 40")]
)
def test_a_search_with_too_much_in_it_is_refused(
    client: FlaskClient, keywords: str, said: str
) -> None:
    """It has ten keywords of 40 characters at most."""
    response = client.get(f"/api/v1/logs?q={keywords}", headers=HEADERS)
    error = response.get_json()
    assert (response.status_code, error["errorCode"]) == (400, "E0000001")
    assert said in error["errorSummary"]
    assert [cause["errorSummary"][:3] for cause in error["errorCauses"]] == ["q: "]


def test_a_long_filter_is_read_in_time_that_grows_with_its_length() -> None:
    """A filter of two megabytes takes seconds, and not minutes."""
    began = time.thread_time()
    predicate = read_log_filter(" or ".join(['eventType eq "user.session.start"'] * 50_000))
    assert time.thread_time() - began < 10
    assert predicate({"eventType": "user.session.start"})


def test_the_org_goes_on_while_a_filter_is_read(org: Org) -> None:
    """A filter that takes long to read, or is refused, keeps nobody else waiting."""
    read = threading.Event()
    emitted = threading.Event()

    class Slow(str):
        """A filter that is not read until something has happened."""

        __slots__ = ()

        def __bool__(self) -> bool:
            read.set()
            assert emitted.wait(10)
            return True

    def look() -> None:
        with pytest.raises(RequestRefused, match="field is not valid"):
            org.log(filter=Slow('a eq "b"'))

    thread = threading.Thread(target=look)
    thread.start()
    assert read.wait(10)
    org.emit("user.session.start")
    emitted.set()
    thread.join()

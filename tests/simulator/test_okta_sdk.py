"""Okta's own SDK, a client that nobody here wrote, against the simulated org and the sample events.

It is slow to import, so all that needs it is here.
"""

from __future__ import annotations

import asyncio
import json
import runpy
from collections import Counter
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

pytest.importorskip("okta", reason="the extra okta is not installed")

from Cryptodome.PublicKey import RSA
from okta.client import Client
from okta.models import EventHook, LogEvent
from okta.pagination import PaginationHelper
from pydantic import BaseModel

from okta_hooks import catalog
from okta_hooks.simulator import Answer, Org, Request, Simulator
from okta_hooks.simulator.app_org import AppOrg
from tests.support import answer_challenge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

EXAMPLES = Path(__file__).parents[2] / "examples"
ELIGIBLE = [name for name, entry in catalog.entries().items() if entry.event_hook_eligible]
HOOK: dict[str, Any] = {
    "name": "Offboarding",
    "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.deactivate"]},
    "channel": {
        "type": "HTTP",
        "version": "1.0.0",
        "config": {
            "uri": "https://app.example.com/okta/events",
            "authScheme": {"type": "HEADER", "key": "Authorization", "value": "s3cret"},
        },
    },
}


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK take an http URL, and send nothing to a proxy."""
    monkeypatch.setenv("OKTA_TESTING_TESTINGDISABLEHTTPSCHECK", "true")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org whose hooks answer the challenge."""
    with Simulator(Org(seed=1, send=answer_challenge)) as simulator:
        yield simulator


def make_client(simulator: Simulator, **config: Any) -> Any:
    return Client({"orgUrl": simulator.url, "token": simulator.org.token, **config})


def test_the_typed_api_manages_hooks(simulator: Simulator) -> None:
    """Its typed calls create, list, verify, replace, deactivate and delete a hook, and understand a refusal."""

    async def use(client: Any) -> None:
        made, _, error = await client.create_event_hook(EventHook.from_dict(HOOK))
        assert error is None
        assert made.id.startswith("who")
        assert (made.status, made.verification_status) == ("ACTIVE", "UNVERIFIED")
        assert made.channel.config.auth_scheme.value is None
        listed, _, error = await client.list_event_hooks()
        assert error is None
        assert listed == [made]
        verified, _, error = await client.verify_event_hook(made.id)
        assert (error, verified.verification_status) == (None, "VERIFIED")
        moved = EventHook.from_dict(HOOK)
        moved.channel.config.uri += "/v2"
        replaced, _, error = await client.replace_event_hook(made.id, moved)
        assert (error, replaced.verification_status) == (None, "UNVERIFIED")
        _, error = await client.delete_event_hook(made.id)
        assert "E0000001" in error.message
        stopped, _, error = await client.deactivate_event_hook(made.id)
        assert (error, stopped.status) == (None, "INACTIVE")
        started, _, error = await client.activate_event_hook(made.id)
        assert (error, started.status) == (None, "ACTIVE")
        await client.deactivate_event_hook(made.id)
        _, response, error = await client.delete_event_hook(made.id)
        assert (error, response.status_code) == (None, 204)
        _, _, error = await client.get_event_hook(made.id)
        assert "E0000007" in error.message

    asyncio.run(use(make_client(simulator)))
    assert simulator.org.hooks() == []


def test_the_typed_api_replaces_a_hook_by_what_it_read(simulator: Simulator) -> None:
    """As Okta's own test of the SDK does: PUT of the object that was read keeps secret, filter and verification."""
    condition = {"expression": "event.target.?[type eq 'User'].size() > 0"}
    entries = [{"event": "user.lifecycle.deactivate", "condition": condition}]
    filtered = {
        **HOOK["events"],
        "filter": {"type": "EXPRESSION_LANGUAGE", "eventFilterMap": entries},
    }

    async def use(client: Any) -> Any:
        made, _, error = await client.create_event_hook(
            EventHook.from_dict({**HOOK, "events": filtered})
        )
        assert error is None
        await client.verify_event_hook(made.id)
        read, _, error = await client.get_event_hook(made.id)
        assert error is None
        read.name = "Leavers"
        replaced, _, error = await client.replace_event_hook(made.id, read)
        assert error is None
        assert (replaced.name, replaced.verification_status) == ("Leavers", "VERIFIED")
        return replaced

    replaced = asyncio.run(use(make_client(simulator)))
    (hook,) = simulator.org.hooks()
    assert hook["name"] == "Leavers"
    assert hook["events"]["filter"]["eventFilterMap"][0]["condition"] == {
        "version": None,
        **condition,
    }
    assert (
        replaced.events.filter.event_filter_map[0].condition.expression == condition["expression"]
    )


async def execute(client: Any, method: str, path: str, body: object = None) -> tuple[Any, Any, Any]:
    """Return status and headers, what the answer holds, and the SDK's error."""
    executor = client.get_request_executor()
    request, error = await executor.create_request(method, path, body)
    assert error is None
    response, text, error = await executor.execute(request)
    return response, json.loads(text) if text else None, error


def test_the_request_executor_manages_hooks(simulator: Simulator) -> None:
    """So does its low-level executor, on raw JSON."""

    async def use(client: Any) -> None:
        hooks = "/api/v1/eventHooks"
        _, made, error = await execute(client, "POST", hooks, HOOK)
        assert error is None
        hook = f"{hooks}/{made['id']}"
        _, listed, _ = await execute(client, "GET", hooks)
        assert listed == [made]
        _, verified, _ = await execute(client, "POST", f"{hook}/lifecycle/verify")
        assert verified["verificationStatus"] == "VERIFIED"
        _, stopped, _ = await execute(client, "POST", f"{hook}/lifecycle/deactivate")
        assert stopped["status"] == "INACTIVE"
        response, _, error = await execute(client, "DELETE", hook)
        assert (error, response.status) == (None, 204)
        _, _, error = await execute(client, "GET", f"{hooks}/who1")
        assert (error.status, error.error_code) == (404, "E0000007")

    asyncio.run(use(make_client(simulator)))
    assert simulator.org.hooks() == []


def test_a_hook_is_sent_back_in_each_state(simulator: Simulator) -> None:
    """What the typed calls read of a hook is taken back, active or not, and leaves it in its state."""
    org = simulator.org

    async def use(client: Any) -> None:
        made, _, _ = await client.create_event_hook(EventHook.from_dict(HOOK))
        await client.verify_event_hook(made.id)
        for change in (client.deactivate_event_hook, client.activate_event_hook):
            changed, _, _ = await change(made.id)
            replaced, _, error = await client.replace_event_hook(made.id, changed)
            assert error is None
            assert replaced.status == changed.status
            assert replaced.channel == changed.channel
            assert org.hook(made.id)["verificationStatus"] == "VERIFIED"

    asyncio.run(use(make_client(simulator)))


def test_the_log_is_read_with_parameters(simulator: Simulator) -> None:
    """The typed call passes each of them on, and understands what is wrong with one."""
    org = simulator.org
    (start,) = org.emit("user.session.start", actor="user:ada@example.com")
    org.emit("user.session.start", actor="user:bob@example.com")
    org.emit("user.lifecycle.create", actor="user:ada@example.com")

    async def use(client: Any) -> None:
        events, _, error = await client.list_log_events(
            since="2026-01-01T00:00:00.000Z",
            until="2126-01-01T00:00:00.000Z",
            filter='event_type sw "user.session." and not (outcome.result eq "FAILURE")',
            q="ada@example.com",
            limit=10,
            sort_order="DESCENDING",
        )
        assert error is None
        assert [event.uuid for event in events] == [start["uuid"]]
        _, _, error = await client.list_log_events(filter='event_typ eq "a"')
        assert "E0000053" in error.message
        assert "field is not valid: event_typ" in error.message

    asyncio.run(use(make_client(simulator)))


def test_a_service_app_gets_its_token(simulator: Simulator) -> None:
    """The SDK signs an assertion, and uses the API with what it gets for that."""
    key = RSA.generate(2048)
    scopes = ["okta.eventHooks.manage", "okta.logs.read"]
    public_key = key.public_key().export_key().decode()
    simulator.org.access.add_service_app("0oa1", public_key, scopes)
    client = make_client(
        simulator,
        authorizationMode="PrivateKey",
        clientId="0oa1",
        scopes=scopes,
        privateKey=key.export_key().decode(),
    )

    async def use() -> None:
        made, _, error = await client.create_event_hook(EventHook.from_dict(HOOK))
        assert error is None
        listed, _, error = await client.list_event_hooks()
        assert (error, listed) == (None, [made])
        _, _, error = await client.get_org_settings()
        assert "E0000006" in error.message

    asyncio.run(use())


def test_the_org_tells_the_sdk_its_settings(simulator: Simulator) -> None:
    """They fit the SDK's model."""

    async def use(client: Any) -> None:
        settings, _, error = await client.get_org_settings()
        assert (error, settings.id, settings.status) == (None, simulator.org.id, "ACTIVE")

    asyncio.run(use(make_client(simulator)))


def test_the_typed_api_pages_through_the_log(simulator: Simulator) -> None:
    """2,500 events come in three pages and in order, by the SDK's own paging; the page after them is empty."""
    sent = [event["uuid"] for event in simulator.org.emit("user.session.start", count=2500)]

    async def read(client: Any) -> list[list[Any]]:
        pages: list[list[Any]] = []
        after = None
        while not pages or pages[-1]:
            events, response, error = await client.list_log_events(
                limit=1000, sort_order="ASCENDING", after=after
            )
            assert error is None
            pages.append(events)
            after = PaginationHelper.extract_next_cursor(response.headers)
            assert after
        return pages

    pages = asyncio.run(read(make_client(simulator)))
    assert [len(page) for page in pages] == [1000, 1000, 500, 0]
    assert [event.uuid for page in pages for event in page] == sent


def test_the_request_executor_pages_through_the_log(simulator: Simulator) -> None:
    """The next link, followed as it is, leads through 2,500 events, and then on to what happens later."""
    sent = [event["uuid"] for event in simulator.org.emit("user.session.start", count=2500)]

    async def read(client: Any) -> list[str]:
        found: list[str] = []
        url = f"/api/v1/logs?limit=1000&since={datetime.now(UTC):%Y-%m-%d}T00:00:00Z"
        for _ in range(5):
            response, events, error = await execute(client, "GET", url)
            assert error is None
            found += [event["uuid"] for event in events]
            url = str(response.links["next"]["url"])
            if not events:
                sent.extend(event["uuid"] for event in simulator.org.emit("user.session.end"))
        return found

    assert asyncio.run(read(make_client(simulator))) == sent


def test_the_request_executor_understands_the_rate_limit() -> None:
    """It reads the headers of a 429, waits until the minute ends, tries again, and ends with Okta's error."""
    # It waits for as long as the org's clock is from the end of the minute, and one second more.
    nearly = datetime(2026, 1, 1, 0, 0, 59, tzinfo=UTC)
    org = Org(clock=lambda: nearly)
    with Simulator(org, rate_limits={"/api/v1/": 1}) as simulator:

        async def use(client: Any) -> Any:
            await execute(client, "GET", "/api/v1/eventHooks")
            return await execute(client, "GET", "/api/v1/eventHooks")

        response, _, error = asyncio.run(use(make_client(simulator, rateLimit={"maxRetries": 1})))
    assert (error.status, error.error_code) == (429, "E0000047")
    assert response.request_info.headers["X-Okta-Retry-Count"] == "1"


def assert_kept(kept: Any, sent: Any, path: str = "event") -> int:
    """Compare what the SDK keeps with what was sent, and return the number of values."""
    if isinstance(kept, BaseModel):
        fields = type(kept).model_fields.items()
        return sum(
            assert_kept(
                getattr(kept, name), sent.get(field.alias or name), f"{path}.{field.alias or name}"
            )
            for name, field in fields
        )
    if isinstance(kept, list):
        assert len(kept) == len(sent), path
        return sum(
            assert_kept(one, other, f"{path}[]") for one, other in zip(kept, sent, strict=True)
        )
    if isinstance(kept, datetime):
        sent = datetime.fromisoformat(sent)
    if isinstance(kept, Enum):
        kept = kept.value
    assert kept == sent, path
    return kept is not None


class Seen(NamedTuple):
    """What the org delivered and logged, and what came out of the signal, by the events' uuids."""

    delivered: dict[str, Any]
    logged: dict[str, Any]
    received: dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Deliver an event of each eligible type, in both serialisations, to the quickstart's app with its inbox."""
    assert len(ELIGIBLE) == 314
    folder = tmp_path_factory.mktemp("quickstart")
    quickstart = runpy.run_path(str(EXAMPLES / "quickstart.py"), run_name="quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_OKTA_HOOKS_SECRET", "s3cret")
        app = quickstart["create_app"]()
    bodies: list[Any] = []
    received: dict[str, Any] = {}

    def deliver(request: Request) -> Answer:
        bodies.append(json.loads(request.body))
        return to_app(request)

    def keep(sender: Flask, event: Any, **extra: Any) -> None:
        assert event.uuid not in received
        received[event.uuid] = event

    org = AppOrg(app, f"sqlite:///{folder}/okta_hooks.sqlite3", seed=1)
    to_app, org.send = org.send, deliver
    with quickstart["okta"].signal("*").connected_to(keep):
        for nulls in (True, False):
            for event_type in ELIGIBLE:
                org.emit(event_type, nulls=nulls)
        org.settle()
    assert (folder / "okta_hooks.sqlite3").exists()
    app.extensions["okta_hooks"].close()
    return Seen(
        {event["uuid"]: event for body in bodies for event in body["data"]["events"]},
        {event["uuid"]: event for event in org.log(limit="1000").events},
        received,
    )


def test_every_eligible_type_comes_out_of_the_signal(seen: Seen) -> None:
    """Through the quickstart's endpoint, inbox and worker it comes as it was delivered, and fits the classes."""
    types = Counter(event.event_type for event in seen.received.values())
    assert types == dict.fromkeys(ELIGIBLE, 2)
    assert {uuid: event.raw for uuid, event in seen.received.items()} == seen.delivered
    assert [event for event in seen.received.values() if event.problems] == []


def test_every_delivered_event_is_a_log_event_to_the_sdk(seen: Seen) -> None:
    """What was delivered loads in the SDK's model, which keeps every field that it knows as the receiver got it."""
    for uuid, sent in seen.delivered.items():
        kept = LogEvent.from_dict(sent)
        assert assert_kept(kept, seen.received[uuid].raw) > 15


def assert_agree(kept: Any, ours: Any, path: str = "event") -> int:
    """Compare what the SDK keeps with an event of ours, attribute by attribute; return the number of values."""
    if isinstance(kept, BaseModel) and not isinstance(ours, dict):
        # The one name that differs, for neither can be called "from".
        names = [(name, name.replace("var_from", "from_")) for name in type(kept).model_fields]
        return sum(
            assert_agree(getattr(kept, theirs), getattr(ours, name), f"{path}.{name}")
            for theirs, name in names
        )
    if isinstance(ours, dict):
        return assert_kept(kept, ours, path)
    if isinstance(ours, tuple):
        pairs = zip(kept or [], ours, strict=True)
        return sum(assert_agree(one, other, f"{path}[]") for one, other in pairs)
    assert (kept.value if isinstance(kept, Enum) else kept) == ours, path
    return kept is not None


def test_the_sdk_and_the_receiver_read_the_same(seen: Seen) -> None:
    """Two parsers that know nothing of each other agree on every attribute that both have."""
    for uuid, sent in seen.delivered.items():
        assert assert_agree(LogEvent.from_dict(sent), seen.received[uuid]) > 15


def test_every_logged_event_is_a_log_event_to_the_sdk(seen: Seen) -> None:
    """So does the same event in the form of the System Log."""
    for uuid in seen.received:
        kept = LogEvent.from_dict(seen.logged[uuid])
        assert assert_kept(kept, seen.logged[uuid]) > 15
        assert "targetEventHookIds" in kept.debug_context.debug_data

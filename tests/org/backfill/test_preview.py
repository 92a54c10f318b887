"""The log's event after a preview of it that somebody has edited."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.tables import delivery as delivery_table
from tests.support import NEEDS_SDK, states

from .support import CREATED, Impatient, inbox_of, open_org, page, read, reading, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox.intake import NewDelivery
    from okta_hooks.simulator import Simulator
    from tests.support import Calls

    from .support import Log

    DeliveryFactory = Callable[..., NewDelivery]
    OnComparison = Callable[..., None]

pytestmark = NEEDS_SDK


def lost(simulator: Simulator, count: int = 1) -> list[Any]:
    """Emit events that are not delivered, and return them."""
    published = datetime.now(UTC) - timedelta(minutes=30)
    return simulator.org.emit(CREATED, count=count, faults=["lost"], published=published)


def edited(event: dict[str, Any]) -> dict[str, Any]:
    """Return a preview of an event, with somebody else in it."""
    return {**event, "target": [{"id": "00uTest", "type": "User"}]}


def targets(events: list[Any], uuid: str) -> list[str]:
    """Return whom the events of a uuid were done to."""
    return sorted(each["target"][0]["id"] for each in events if each["uuid"] == uuid)


@pytest.fixture
def got(okta: EventHook) -> list[Any]:
    """Return a list of what receivers get."""
    events: list[Any] = []
    okta.on(CREATED, name="got")(lambda sender, event, **extra: events.append(event.raw))
    return events


@pytest.fixture
def on_comparison() -> Iterator[OnComparison]:
    """Return a function for what is to be done, in turn, whenever it was looked up what is stored of a page."""
    to_do: list[Callable[[], object]] = []

    def after(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "~log" in str(parameters) and to_do:
            to_do.pop(0)()

    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    yield lambda *these: to_do.extend(these)
    sa.event.remove(sa.Engine, "after_cursor_execute", after)


def test_the_log_has_the_last_word(
    app: Flask,
    simulator: Simulator,
    delivery: DeliveryFactory,
    got: list[Any],
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """What is real is missing until a backfill has brought it, then it has arrived, and receivers get it, once."""
    heard = hear(signals.delivery_stored)
    real, as_it_was = lost(simulator, 2)
    uuid = real["uuid"]
    inbox_of(app).intake.store([delivery(edited(real)), delivery(as_it_was)])

    before = run(app, "reconcile", "--since=1h", status=1).output
    assert f"missing: {uuid}\n" in before
    assert before.count("missing:") == 1

    result = run(app, "backfill", "--since=1h")
    assert (
        "1 event of the log differs from what is stored under its uuid for the hook 'okta', "
        f"and is stored beside it: {uuid}. flask okta-hooks events show '<uuid>~log' shows"
    ) in result.stderr
    assert "if nobody sent an edited preview, report it" in result.stderr
    assert "okta: 1 new, 1 there already" in result.stdout
    assert result.stdout.endswith(
        "1 of the new ones is the log's version of an event that a hook delivered otherwise.\n"
    )
    assert [(each["new"], each["duplicate"]) for each in heard.arguments] == [(1, 1)]
    app.extensions["okta_hooks"].runtime().worker.drain()
    assert targets(got, uuid) == sorted(["00uTest", real["target"][0]["id"]])
    assert len(targets(got, as_it_was["uuid"])) == 1

    document = json.loads(run(app, "reconcile", "--since=1h", "--json").stdout)
    assert (document["by_hook"], document["by_backfill"], document["missing"]) == (1, 1, [])
    again = read(app, "--since=1h")
    assert (again["new"], again["duplicate"], again["contradicting"]) == (0, 2, 0)

    shown = json.loads(run(app, "events", "show", uuid, "--json").stdout)
    assert [each["uuid"] for each in shown] == [f"{uuid}~log", uuid]
    assert "2 events are replayed" in run(app, "replay", uuid).output


def test_a_preview_after_the_event(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory
) -> None:
    """Whatever it says it is a duplicate, and the log's version has arrived."""
    (real,) = lost(simulator)
    inbox_of(app).intake.store([delivery(real)])
    inbox_of(app).intake.store([delivery(edited(real))])

    document = read(app, "--since=1h")

    assert (document["new"], document["duplicate"], document["contradicting"]) == (0, 1, 0)
    run(app, "reconcile", "--since=1h")


def test_what_a_hook_brought_is_not_stored_again(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory
) -> None:
    """The log and a delivery write an event differently, which is no contradiction."""
    events = lost(simulator, 50)
    bare = [
        {key: value for key, value in event.items() if value not in (None, [], {})}
        for event in events[:25]
    ]
    inbox_of(app).intake.store([delivery(*bare), *(delivery(event) for event in events[25:])])

    document = read(app, "--since=1h")

    assert (document["new"], document["duplicate"], document["contradicting"]) == (0, 50, 0)


@pytest.mark.parametrize(
    ("different", "same", "stored"),
    [(5, 1, 5), (6, 1, 0), (6, 114, 6), (6, 113, 0)],
)
def test_many_that_differ(
    app: Flask,
    simulator: Simulator,
    delivery: DeliveryFactory,
    different: int,
    same: int,
    stored: int,
) -> None:
    """If more than 5 and 5 % of a page differ, none is stored: receivers do not run twice for everything."""
    events = lost(simulator, different + same + 1)
    inbox_of(app).intake.store(
        [delivery(*map(edited, events[:different])), delivery(*events[different:-1])]
    )

    result = run(app, "backfill", "--since=1h", "--json")

    document = json.loads(result.stdout)
    assert document["contradicting"] == stored
    # What no hook has delivered is stored in any case.
    assert (document["new"], document["duplicate"]) == (stored + 1, different + same - stored)
    warning = f"{different} of {different + same} events differ from what hooks delivered."
    assert (warning in result.stderr) == (stored == 0)
    if not stored:
        result = run(app, "reconcile", "--since=1h", status=1)
        assert warning in result.stderr
        assert result.stdout.count("missing:") == different


def test_many_previews_that_were_edited(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory, got: list[Any]
) -> None:
    """The warning has the command that stores the log's versions, however many they are."""
    events = lost(simulator, 8)
    inbox_of(app).intake.store([delivery(*map(edited, events))])
    warnings = run(app, "backfill", "--since=1h").stderr
    assert "Until then they are not stored, and count as duplicates." in warnings
    command = r"flask okta-hooks (backfill --since \S+ --store-differing) "
    (said,) = re.findall(command, warnings)
    assert [said] == re.findall(command, run(app, "reconcile", "--since=1h", status=1).stderr)

    document = json.loads(run(app, *said.split(), "--json").stdout)

    assert (document["new"], document["contradicting"]) == (8, 8)
    app.extensions["okta_hooks"].runtime().worker.drain()
    assert len(got) == 16
    run(app, "reconcile", "--since=1h")
    assert read(app, "--since=1h", "--store-differing")["new"] == 0


@pytest.mark.parametrize(("others", "plain"), [(0, 0), (1, 1)])
def test_the_advice_of_reconcile_agrees_with_its_warning(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory, others: int, plain: int
) -> None:
    """A command that would hold the log's versions back is not said to bring them."""
    events = lost(simulator, 8 + others)
    inbox_of(app).intake.store([delivery(*map(edited, events[:8]))])

    *_, last = lines = run(app, "reconcile", "--since=1h", status=1).stderr.splitlines()

    assert last.endswith(" --store-differing")
    assert sum(line.startswith("To bring what has not arrived: ") for line in lines) == plain
    command = last.partition("flask okta-hooks ")[2].split()
    assert json.loads(run(app, *command, "--json").stdout)["new"] == 8 + others


def test_many_that_differ_page_after_page(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    delivery: DeliveryFactory,
) -> None:
    """Pages may be small: what was compared before counts, too, but not what is stored already."""
    uuids = [f"u{number}" for number in range(9)]
    published = (datetime.now(UTC) - timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    app = connect(serve(*(page(uuid, published=published) for uuid in uuids)).url, okta)
    inbox_of(app).intake.store(
        [delivery({"uuid": uuid, "eventType": "user.lifecycle.activate"}) for uuid in uuids]
    )

    document = read(app, "--since=1h")

    assert (document["pages"], document["contradicting"]) == (9, 5)
    assert Counter(key.endswith("~log") for key in states(inbox_of(app))) == {False: 9, True: 5}


def test_the_names_of_many(app: Flask, simulator: Simulator, delivery: DeliveryFactory) -> None:
    """Five of them are named."""
    events = lost(simulator, 120)
    inbox_of(app).intake.store([delivery(*map(edited, events[:6])), delivery(*events[6:])])

    result = run(app, "backfill", "--since=1h")

    named = ", ".join(event["uuid"] for event in events[:5])
    assert f"beside it: {named}, .... flask" in result.stderr


def test_a_delivery_between_comparison_and_page(
    app: Flask,
    simulator: Simulator,
    delivery: DeliveryFactory,
    got: list[Any],
    on_comparison: OnComparison,
) -> None:
    """What a hook delivered while a page was compared is compared after it is stored."""
    real, as_it_was, other = lost(simulator, 3)
    inbox = inbox_of(app)
    on_comparison(lambda: inbox.intake.store([delivery(edited(real), as_it_was)]))

    document = read(app, "--since=1h")

    assert (document["new"], document["duplicate"], document["contradicting"]) == (2, 1, 1)
    assert document["hooks"]["okta"] == {"new": 2, "duplicate": 1, "dead": 0}
    assert set(states(inbox)) == {
        real["uuid"],
        f"{real['uuid']}~log",
        as_it_was["uuid"],
        other["uuid"],
    }
    app.extensions["okta_hooks"].runtime().worker.drain()
    assert targets(got, real["uuid"]) == sorted(["00uTest", real["target"][0]["id"]])
    run(app, "reconcile", "--since=1h")


def test_a_database_that_is_away_between(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory, on_comparison: OnComparison
) -> None:
    """What could not be compared after the page was stored is compared before the next one."""
    (real,) = lost(simulator)
    inbox = inbox_of(app)

    def away() -> None:
        raise InboxUnavailable("it is away", is_transient=True)

    on_comparison(lambda: inbox.intake.store([delivery(edited(real))]), away)
    stopping = Impatient()
    lines: list[str] = []
    with open_org(app, stopping) as org:
        backfill = reading(app, org, stopping, tell=lines.append)
        backfill.begin((datetime.now(UTC) - timedelta(hours=1)).timestamp())
        assert backfill.catch_up(max_failures=1)

    assert "it is away" in lines[0]
    assert backfill.tally.contradicting == 1
    assert (backfill.tally.new, backfill.tally.duplicate) == ({"okta": 1}, {"okta": 0})
    assert set(states(inbox)) == {real["uuid"], f"{real['uuid']}~log"}


def test_a_uuid_that_the_log_has_twice(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """The second is a duplicate of the log's own first, and nothing to compare with."""
    app = connect(serve(page("u1", "u1")).url, okta)

    document = read(app, "--since=2026-05-01")

    assert (document["new"], document["duplicate"], document["contradicting"]) == (1, 1, 0)
    assert set(states(inbox_of(app))) == {"u1"}


def test_what_has_lost_its_body(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """It counts as arrived, and reconcile says that its uuid alone is known."""
    real, as_it_was = lost(simulator, 2)
    inbox_of(app).intake.store([delivery(edited(real))])
    inbox_of(app).intake.store([delivery(as_it_was)])
    with engine.begin() as connection:
        first = sa.select(sa.func.min(delivery_table.c.id)).scalar_subquery()
        connection.execute(
            delivery_table.update().where(delivery_table.c.id == first).values(body=None)
        )

    assert read(app, "--since=1h")["contradicting"] == 0
    document = json.loads(run(app, "reconcile", "--since=1h", "--json").stdout)
    assert (document["by_hook"], document["not_compared"], document["missing"]) == (2, 1, [])
    assert "known by uuid alone            1\n" in run(app, "reconcile", "--since=1h").stdout

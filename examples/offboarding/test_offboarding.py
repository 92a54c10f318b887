"""How an app's own receivers are tested: deliver events to them as Okta does, and look at what is left."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from . import create_app, sample_data
from .models import Entry, Ticket, Token, db

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

SECRET = "correct horse"  # noqa: S105 - of a test


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Flask]:
    """Return the app with its sample data."""
    app = create_app(
        {
            "TESTING": True,
            "OKTA_HOOKS_SECRET": SECRET,
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'desk.sqlite3'}",
        }
    )
    with app.app_context():
        sample_data()
    yield app
    with app.app_context():
        db.engine.dispose()


def event(event_type: str, uuid: str | None, user: str) -> dict[str, Any]:
    """Return an event about a user, as Okta would send it."""
    return {
        "uuid": uuid,
        "eventType": event_type,
        "published": "2026-05-04T03:02:01.000Z",
        "target": [{"id": user, "type": "User", "alternateId": f"{user}@example.com"}],
    }


def deliver(desk: Flask, *events: dict[str, Any]) -> int:
    """Post a delivery as Okta does; return the status of the answer."""
    return (
        desk.test_client()
        .post(
            "/okta/events",
            json={"data": {"events": list(events)}},
            headers={"Authorization": SECRET},
        )
        .status_code
    )


def state(desk: Flask) -> dict[str, list[Any]]:
    """Return what the database holds now."""
    with desk.app_context():
        return {
            "tokens": [token.owner for token in db.session.query(Token).order_by(Token.id)],
            "tickets": [ticket.assignee for ticket in db.session.query(Ticket).order_by(Ticket.id)],
            "trail": [entry.uuid for entry in db.session.query(Entry).order_by(Entry.uuid)],
        }


def test_deactivation_takes_tokens_and_tickets(desk: Flask) -> None:
    """Who is deactivated has no tokens and no tickets any more; nobody else loses any."""
    assert (
        deliver(desk, event("user.lifecycle.deactivate", "1", "00u1ada")) == HTTPStatus.NO_CONTENT
    )

    assert state(desk) == {
        "tokens": ["00u1bob"],
        "tickets": [None, "00u1bob"],
        "trail": ["1"],
    }


def test_suspension_takes_tokens_only(desk: Flask) -> None:
    """Who is suspended may come back, to the same tickets."""
    assert deliver(desk, event("user.lifecycle.suspend", "1", "00u1ada")) == HTTPStatus.NO_CONTENT

    assert state(desk) == {
        "tokens": ["00u1bob"],
        "tickets": ["00u1ada", "00u1bob"],
        "trail": ["1"],
    }


def test_several_people_in_one_delivery(desk: Flask) -> None:
    """Every event of a delivery counts, not only the first."""
    ada = event("user.lifecycle.deactivate", "1", "00u1ada")
    bob = event("user.lifecycle.suspend", "2", "00u1bob")

    assert deliver(desk, ada, bob) == HTTPStatus.NO_CONTENT

    assert state(desk) == {"tokens": [], "tickets": [None, "00u1bob"], "trail": ["1", "2"]}


def test_a_duplicate_changes_nothing(desk: Flask) -> None:
    """Okta may deliver an event twice: the second time nothing is left to do."""
    ada = event("user.lifecycle.deactivate", "1", "00u1ada")
    deliver(desk, ada)
    once = state(desk)

    assert deliver(desk, ada, ada) == HTTPStatus.NO_CONTENT
    assert state(desk) == once


def test_an_event_without_uuid_is_rejected_by_the_trail_only(desk: Flask) -> None:
    """What cannot be written down is still acted upon."""
    assert (
        deliver(desk, event("user.lifecycle.deactivate", None, "00u1ada")) == HTTPStatus.NO_CONTENT
    )

    assert state(desk) == {"tokens": ["00u1bob"], "tickets": [None, "00u1bob"], "trail": []}


def test_a_broken_receiver_takes_nothing_from_the_others(desk: Flask) -> None:
    """Without its table one receiver fails; the others have committed, and a resend does the rest."""
    ada = event("user.lifecycle.deactivate", "1", "00u1ada")
    with desk.app_context():
        Ticket.__table__.drop(db.engine)  # type: ignore[attr-defined]

    with pytest.raises(ExceptionGroup, match="Receivers failed") as failed:
        deliver(desk, ada)

    assert "no such table: ticket" in str(failed.value.exceptions[0])
    with desk.app_context():
        db.create_all()
        db.session.add(Ticket(assignee="00u1ada", title="Printer on fire"))
        db.session.commit()
    assert state(desk) == {"tokens": ["00u1bob"], "tickets": ["00u1ada"], "trail": ["1"]}
    assert deliver(desk, ada) == HTTPStatus.NO_CONTENT
    assert state(desk) == {"tokens": ["00u1bob"], "tickets": [None], "trail": ["1"]}


def test_strangers_change_nothing(desk: Flask) -> None:
    """Without the secret nobody is let go."""
    before = state(desk)

    answer = desk.test_client().post(
        "/okta/events",
        json={"data": {"events": [event("user.lifecycle.deactivate", "1", "00u1ada")]}},
    )

    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert state(desk) == before

"""What the help desk does when Okta tells it something.

Okta may deliver an event twice, and in any order, so every receiver may run twice:
the second time it finds nothing left to do. Each runs in an application context of its own,
so each has its own database session and commits, or fails, alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy import delete, update
from sqlalchemy.dialects.sqlite import insert

from okta_hooks import EventHook, LogEvent, Reject

from .models import Entry, Ticket, Token, db

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.lifecycle.deactivate", "user.lifecycle.suspend")
def revoke_tokens(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Log the user out everywhere. What is deleted stays deleted."""
    for user in event.targets_of("User"):
        gone = db.session.execute(
            delete(Token).where(Token.owner == user.id).returning(Token.label)
        ).scalars()
        logger.info("revoked the tokens of %s: %s", user.id, ", ".join(gone) or "none left")
    db.session.commit()


@okta.on("user.lifecycle.deactivate")
def hand_over_tickets(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Take the user's open tickets away; a suspended user keeps them."""
    for user in event.targets_of("User"):
        open_again = db.session.execute(
            update(Ticket)
            .where(Ticket.assignee == user.id)
            .values(assignee=None)
            .returning(Ticket.title)
        ).scalars()
        logger.info("took the tickets of %s: %s", user.id, ", ".join(open_again) or "none left")
    db.session.commit()


@okta.on("user.lifecycle.*")
def keep_trail(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Write the event down, once: its uuid is the primary key."""
    if event.uuid is None:
        raise Reject("An entry of the audit trail needs the event's uuid.")
    user = event.target_of("User")
    new = db.session.execute(
        insert(Entry)
        .values(
            uuid=event.uuid,
            event_type=event.event_type,
            published=event.published,
            user=user.id if user else None,
        )
        .on_conflict_do_nothing()
        .returning(Entry.uuid)
    ).scalar()
    db.session.commit()
    logger.info("%s %s", "wrote down" if new else "knew already", event)

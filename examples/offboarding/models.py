"""What the help desk stores. People are known by their ids at Okta: logins may be renamed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotations
from typing import TYPE_CHECKING

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the tables."""


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Token(Model):
    """What lets a device in."""

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    label: Mapped[str]


class Ticket(Model):
    """Work that somebody has to do; nobody yet, if there is no assignee."""

    id: Mapped[int] = mapped_column(primary_key=True)
    assignee: Mapped[str | None]
    title: Mapped[str]


class Entry(Model):
    """One line of the audit trail: an event, under its own id."""

    uuid: Mapped[str] = mapped_column(primary_key=True)
    event_type: Mapped[str]
    published: Mapped[datetime | None]
    user: Mapped[str | None]

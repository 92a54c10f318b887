from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .support import deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

    from okta_hooks import EventHook, LogEvent


class Base(DeclarativeBase):
    """The host's models."""


db = SQLAlchemy(model_class=Base)


class Row(db.Model):  # type: ignore[name-defined, misc]
    """What a receiver writes."""

    id: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def host(tmp_path: Path, okta: EventHook, make_app: Callable[..., Flask]) -> Iterator[Flask]:
    """Return an app with a hook and a database."""
    app = make_app(okta)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'host.sqlite3'}"
    db.init_app(app)
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


def rows(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(db.select(Row.id).order_by(Row.id)))


def test_uncommitted_rows_are_not_committed_by_the_next(okta: EventHook, host: Flask) -> None:
    """What a receiver left uncommitted is gone with its session: the next one's commit is its own."""

    @okta.on("*")
    def forgets_to_commit(sender: Flask, **extra: Any) -> None:
        db.session.add(Row(id="half-written"))
        db.session.flush()

    @okta.on("*")
    def raises_before_it_commits(sender: Flask, **extra: Any) -> None:
        db.session.add(Row(id="half-written, too"))
        db.session.flush()
        raise ZeroDivisionError

    @okta.on("*")
    def commits(sender: Flask, **extra: Any) -> None:
        db.session.add(Row(id="whole"))
        db.session.commit()

    deliver(okta, "user.session.start", app=host)

    assert rows(host) == ["whole"]


def test_failed_transaction_does_not_touch_the_next(okta: EventHook, host: Flask) -> None:
    """A session that a receiver broke, which refuses all further work, is not the next one's."""

    @okta.on("*")
    def breaks_its_session(sender: Flask, event: LogEvent, **extra: Any) -> None:
        db.session.add(Row(id=event.uuid))
        db.session.commit()
        db.session.expunge_all()
        db.session.add(Row(id=event.uuid))
        db.session.flush()

    @okta.on("*")
    def commits(sender: Flask, event: LogEvent, **extra: Any) -> None:
        db.session.add(Row(id=f"{event.uuid}, again"))
        db.session.commit()

    failures = deliver(
        okta,
        {"eventType": "user.session.start", "uuid": "one"},
        {"eventType": "user.session.start", "uuid": "two"},
        app=host,
    )

    assert [type(error) for error in failures] == [IntegrityError] * 2
    assert rows(host) == ["one", "one, again", "two", "two, again"]


def test_the_request_s_session_is_not_the_receivers(
    okta: EventHook, host: Flask, body: Callable[..., bytes]
) -> None:
    """A receiver's commit does not commit what the host's code began in the same request."""

    @host.before_request
    def begin() -> None:
        db.session.add(Row(id="the host's, not committed"))

    @okta.on("*")
    def commits(sender: Flask, **extra: Any) -> None:
        db.session.add(Row(id="the receiver's"))
        db.session.commit()

    answer = host.test_client().post(
        "/okta/events", data=body("user.session.start"), headers={"Authorization": "correct horse"}
    )

    assert answer.status_code == 204
    assert rows(host) == ["the receiver's"]

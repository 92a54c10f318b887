"""A help desk that lets go of people when Okta does.

``flask --app examples/offboarding sample-data`` fills its database, ``flask --app examples/offboarding run``
serves it; both want ``FLASK_OKTA_HOOKS_SECRET``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask import Flask

from .models import Ticket, Token, db
from .receivers import okta

if TYPE_CHECKING:
    from collections.abc import Mapping


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app.

    :param config: What a test configures; without it, the environment does.
    """
    app = Flask(__name__)
    app.config["OKTA_HOOKS_INBOX"] = None
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///offboarding.sqlite3"
    if config is None:
        logging.basicConfig(level=logging.INFO)
        app.config.from_prefixed_env()
    else:
        app.config.from_mapping(config)
    db.init_app(app)
    app.register_blueprint(okta)
    app.cli.command("sample-data")(sample_data)
    return app


def sample_data() -> None:
    """Make the tables, with two people in them."""
    db.create_all()
    db.session.add_all(
        [
            Token(owner="00u1ada", label="laptop"),
            Token(owner="00u1ada", label="phone"),
            Token(owner="00u1bob", label="laptop"),
            Ticket(assignee="00u1ada", title="Printer on fire"),
            Ticket(assignee="00u1bob", title="Password forgotten"),
        ]
    )
    db.session.commit()

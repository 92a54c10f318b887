"""The app of ``make demo``: five receivers, each of which keeps a journal of what it has done.

``FLASK_OKTA_HOOKS_SECRET`` and ``FLASK_JOURNAL``, the path of that file, come from the environment.
"""

import time
from pathlib import Path

from flask import Flask

from okta_hooks import EventHook, LogEvent

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.lifecycle.create", name="welcome")
def welcome(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Greet who is new."""
    work(sender, "welcome", event, seconds=0.01)


@okta.on("group.user_membership.*", name="directory")
def copy_membership(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Do to the company's own directory what was done to Okta's."""
    work(sender, "directory", event, seconds=0.02)


@okta.on("user.session.start", "user.account.lock", name="watch")
def watch_sign_ins(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Look for what is unusual."""
    work(sender, "watch", event, seconds=0.005)


@okta.on("user.lifecycle.deactivate", name="offboard")
def revoke_access(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Let go of who has left."""
    work(sender, "offboard", event, seconds=0.05)


@okta.on("*", name="audit")
def audit(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Keep everything. It is slower than the events come, so there is always some left to do."""
    work(sender, "audit", event, seconds=0.025)


def work(app: Flask, receiver: str, event: LogEvent, seconds: float) -> None:
    """Take the time that another service would, and then write down what has been done."""
    time.sleep(seconds)
    # One short write: what is written stays, even if the process is killed right after it.
    with Path(app.config["JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(f"{receiver} {event.uuid}\n")


def create_app() -> Flask:
    """Make the app. Its inbox is the default one: a file."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.register_blueprint(okta)
    return app

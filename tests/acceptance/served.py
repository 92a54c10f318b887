"""The app that the tests of the answer table serve."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from okta_hooks import EventHook, LogEvent

okta = EventHook("okta")
app = Flask(__name__)
app.config.from_prefixed_env()
app.register_blueprint(okta)


@okta.on("*")
def remember(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Append the event's uuid to the file in which all workers' events are."""
    with Path(sender.config["RECEIVED"]).open("a", encoding="utf-8") as file:
        file.write(f"{event.uuid}\n")


@okta.on("user.lifecycle.suspend")
def fail(sender: Flask, **extra: object) -> None:
    """Fail, always."""
    raise LookupError("no such user")

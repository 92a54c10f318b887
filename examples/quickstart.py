"""Run it: ``FLASK_OKTA_HOOKS_SECRET=... flask --app examples/quickstart run``."""

from flask import Flask

from okta_hooks import EventHook, LogEvent

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.lifecycle.deactivate")
def offboard(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Revoke the access of whoever was deactivated at Okta."""
    for user in event.targets_of("User"):
        print(f"Revoking the access of {user.alternate_id}")


def create_app() -> Flask:
    """Make the app: its secret comes from the environment."""
    app = Flask(__name__)
    app.config["OKTA_HOOKS_INBOX"] = None
    app.config.from_prefixed_env()
    app.register_blueprint(okta)
    return app

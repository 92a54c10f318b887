"""The app of ``make play``: what a small company does when Okta tells it something, and the console over it.

It has three receivers, and the last one fails until somebody says at ``/`` that the badge system is back.
``FLASK_OKTA_HOOKS_SECRET`` and the other keys come from the environment. What the page shows is kept in memory,
so it is to be run in one process.
"""

from __future__ import annotations

import time
from collections import deque
from http import HTTPStatus
from threading import Event
from typing import TYPE_CHECKING

from flask import Flask, abort, redirect, render_template, request, url_for

from okta_hooks import EventHook
from okta_hooks.console import Console

if TYPE_CHECKING:
    from flask import Response
    from werkzeug.wrappers import Response as BaseResponse

    from okta_hooks import LogEvent

okta = EventHook("okta", url_prefix="/okta/events")
done: deque[str] = deque(maxlen=15)
badges_work = Event()
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class BadgesDown(Exception):
    """The badge system does not answer."""


@okta.on("user.lifecycle.create", name="welcome")
def welcome(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Greet who is new."""
    for user in event.targets_of("User"):
        time.sleep(0.05)  # what a mail server would take
        done.appendleft(f"Welcomed {user.display_name}.")


@okta.on("group.user_membership.*", "user.session.start", "user.account.lock", name="directory")
def copy(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Keep the company's own directory in step."""
    who = event.target_of("User") or event.actor
    done.appendleft(f"Wrote down {event.event_type} of {who.display_name if who else 'nobody'}.")


@okta.on("user.lifecycle.suspend", "user.lifecycle.deactivate", name="badges")
def block_badge(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Let nobody in who has left."""
    for user in event.targets_of("User"):
        if not badges_work.is_set():
            raise BadgesDown(f"no answer for {user.alternate_id}")
        done.appendleft(f"Blocked the badge of {user.display_name}.")


def show() -> str:
    """Show what the receivers have done."""
    return render_template("play.html", done=list(done), is_up=badges_work.is_set())


def switch() -> BaseResponse:
    """Take the badge system away, or bring it back. Only the page itself may."""
    site = request.headers.get("Sec-Fetch-Site")
    own = f"{request.scheme}://{request.host}"
    if not (site == "same-origin" if site else request.headers.get("Origin") == own):
        abort(HTTPStatus.FORBIDDEN)
    if request.form.get("badges") == "up":
        badges_work.set()
    else:
        badges_work.clear()
    return redirect(url_for("show"), HTTPStatus.SEE_OTHER)


def protect(response: Response) -> Response:
    """Let pages do nothing but what they are there for."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def create_app() -> Flask:
    """Make the app, with its console.

    Whoever reaches the console may do everything: it is for this machine alone. An app of yours asks its own login.
    """
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.add_url_rule("/", view_func=show)
    app.add_url_rule("/badges", view_func=switch, methods=["POST"])
    app.after_request(protect)
    app.register_blueprint(okta)
    app.register_blueprint(Console(okta, authorize=lambda: ("operate", "whoever plays")))
    return app

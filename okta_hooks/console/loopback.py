"""The console on the loopback, for who has a shell on the host and no page yet: one link, which works once."""

from __future__ import annotations

import secrets
import threading
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, redirect, request, url_for

from .blueprint import Console
from .visitor import OPERATE

if TYPE_CHECKING:
    from collections.abc import Collection

    from werkzeug.wrappers import Response as AnyResponse

ADDRESS: Final = "127.0.0.1"
_COOKIE: Final = "okta_hooks_console"
_USED: Final = "This link has been used, or is none. Each start of the command prints a new one.\n"


class _OfAnother(Console):
    """A console in an app of its own, over the hooks of another."""

    def __init__(self, loopback: Loopback, url_prefix: str) -> None:
        super().__init__(authorize=loopback.visitor, url_prefix=url_prefix)
        self._loopback = loopback

    def host(self) -> Flask:
        """Return the app whose hooks are shown."""
        return self._loopback.host


class Loopback:
    """An app with the console of another app, for who has the link.

    ``path`` is what the link leads to: whoever asks for it first may operate, with the cookie that they get.
    The paths have a random part, for a cookie goes to all ports of a host: only what asks below it gets the cookie.

    :param host: The app whose hooks are shown.
    :param who: Who that is, for the audit.
    """

    def __init__(self, host: Flask, who: str) -> None:
        self.host = host
        self._who = who
        self._lock = threading.Lock()
        self._token: str | None = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._prefix = f"/{secrets.token_urlsafe(12)}"
        self._hosts: Collection[str] = ()
        self.path = f"{self._prefix}/open/{self._token}"
        self.app = Flask("okta_hooks_console", static_folder=None)
        self.app.before_request(self._check_host)
        self.app.add_url_rule(f"{self._prefix}/open/<token>", "open", self._open)
        self._console = _OfAnother(self, self._prefix)
        self.app.register_blueprint(self._console)

    def served_at(self, port: int) -> str:
        """Return the link, once it is known at which port the app is served."""
        self._hosts = (f"{ADDRESS}:{port}", f"localhost:{port}")
        return f"http://{ADDRESS}:{port}{self.path}"

    def visitor(self) -> tuple[str, str] | None:
        """Return who sends the current request, if they have the cookie."""
        given = request.cookies.get(_COOKIE, "")
        is_right = compare_digest(given.encode(), self._cookie.encode())
        return (OPERATE, self._who) if is_right else None

    def _check_host(self) -> Response | None:
        """Refuse what a name of somebody else's has led here: it would count as the origin of our own pages."""
        if request.host in self._hosts:
            return None
        return Response(
            "This host is not known here.\n", HTTPStatus.MISDIRECTED_REQUEST, mimetype="text/plain"
        )

    def _open(self, token: str) -> AnyResponse:
        if (
            request.method != "GET"
        ):  # what only looks whether a link leads anywhere must not use it up
            return Response(status=HTTPStatus.NO_CONTENT)
        with self._lock:
            known = self._token
            is_right = known is not None and compare_digest(token.encode(), known.encode())
            if is_right:
                self._token = None
        if not is_right:
            answer: AnyResponse = Response(_USED, HTTPStatus.FORBIDDEN, mimetype="text/plain")
        else:
            answer = redirect(url_for(f"{self._console.name}.overview"), HTTPStatus.SEE_OTHER)
            answer.set_cookie(
                _COOKIE, self._cookie, path=self._prefix, httponly=True, samesite="Strict"
            )
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

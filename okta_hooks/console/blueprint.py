"""The Flask side of the console: who is let in, what a browser may do with its pages, and which page is where."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, abort, current_app, g, request, send_from_directory
from werkzeug.exceptions import MethodNotAllowed

from okta_hooks.exceptions import ConfigurationError, InboxUnavailable
from okta_hooks.logs import plain_logger
from okta_hooks.origin import is_own
from okta_hooks.state import app_object, registration, state_of

from .org import Org
from .pages import render
from .reads import Reads
from .visit import NoInbox, NotAllowed, NotThere, Visit
from .visitor import NoVisitor, visitor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask
    from flask.sansio.app import App

    from okta_hooks.blueprint import EventHook

    from .visitor import Visitor

logger = plain_logger(__name__)

_NAME: Final = "okta_hooks_console"
#: Who may not look must not be told by a 405 that there is a page for another method.
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Which would tell them that, too.
_NO_REDIRECTS: Final = {"strict_slashes": False, "merge_slashes": False}
_STATIC: Final = Path(__file__).with_name("static")
_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            *(f"{each} 'self'" for each in ("script-src", "style-src", "img-src", "connect-src")),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    # Flask-WTF asks for the referrer of a POST, and browsers send no Origin where they may send no referrer.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """One page: its path, its endpoint, and the function that makes it, which is imported when it is asked for."""

    path: str
    endpoint: str
    module: str
    function: str
    is_action: bool = False


_RULES: Final = (
    _Rule("", "overview", "overview", "show"),
    _Rule("/events", "events", "events", "show"),
    _Rule("/events/<int(max=9223372036854775807):event_id>", "event", "event", "show"),
    _Rule(
        "/events/<int(max=9223372036854775807):event_id>/reveal",
        "reveal",
        "event",
        "reveal",
        is_action=True,
    ),
    _Rule("/receivers", "receivers", "receivers", "show"),
    _Rule("/receivers/one", "receiver", "receivers", "show_one"),
    _Rule("/receivers/pause", "pause", "receivers", "pause", is_action=True),
    _Rule("/receivers/resume", "resume", "receivers", "resume", is_action=True),
    _Rule("/dead-letters", "dead_letters", "dead_letters", "show"),
    _Rule("/dead-letters/group", "dead_group", "dead_letters", "show_group"),
    _Rule("/dead-letters/preview", "preview", "dead_letters", "preview", is_action=True),
    _Rule("/dead-letters/run", "run", "dead_letters", "run", is_action=True),
    _Rule("/registration", "registration", "registration", "show"),
    _Rule("/audit", "audit", "audit", "show"),
)


class Console(Blueprint):
    """A blueprint with pages over what the inbox holds, for people.

    :param hooks: The hooks that it shows; without any, all that its app has.
    :param authorize: Says of each request who sends it, and may be a coroutine function. It returns None for whoever
        may not look, who is answered with 404; ``"read"``; ``"operate"`` for who may also reveal payloads, replay,
        prune, and pause receivers; or a pair of such a role and a name, for the audit.
    :param url_prefix: The path below which its pages are.
    :raises TypeError: if one of the hooks is none, or ``authorize`` no function.
    """

    def __init__(
        self,
        *hooks: EventHook,
        authorize: Callable[[], Any] | None = None,
        url_prefix: str = "/okta/console",
    ) -> None:
        names = [getattr(hook, "name", None) for hook in hooks]
        if not all(
            isinstance(name, str) and hasattr(hook, "receivers")
            for name, hook in zip(names, hooks, strict=True)
        ):
            raise TypeError("Console() takes hooks: Console(okta, authorize=...).")
        if authorize is not None and not callable(authorize):
            raise TypeError(
                f"authorize must be a function, which is called for each request, not {authorize!r}."
            )
        # Two in one app, each over hooks of its own, have two names.
        super().__init__(
            "_".join([_NAME, *map(str, names)]),
            __name__,
            url_prefix=url_prefix,
        )
        self._hooks = tuple(map(str, names))
        self._authorize = authorize
        self._reads = Reads()
        self._org = Org()
        self.before_request(self._admit)
        self.after_request(_protected)
        for rule in _RULES:
            self.add_url_rule(
                rule.path,
                rule.endpoint,
                self._view(rule),
                methods=_METHODS,
                **_NO_REDIRECTS,
            )
        self.add_url_rule("/static/<name>", "static", _file, methods=_METHODS, **_NO_REDIRECTS)

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register with an app, as :meth:`flask.Flask.register_blueprint` asks a blueprint to.

        :raises RuntimeError: if nothing says who may look, something else answers at its path, or it is no app of
            Flask's.
        """
        registration.flask_app(app)
        if self._authorize is None:
            raise ConfigurationError(
                "Console() does not know who may look, so it is not registered. Give it a function that returns None, "
                '"read" or "operate" for whoever sends the current request: '
                'Console(authorize=lambda: "operate" if current_user.is_admin else None).'
            )
        _check_path(app, options.get("url_prefix") or self.url_prefix or "", options)
        super().register(app, options)

    def host(self) -> Flask:
        """Return the app whose hooks are shown."""
        return app_object()

    def _admit(self) -> Response | None:
        """Let a request in, or answer it."""
        visitor = self._visitor()
        if visitor is None:
            abort(HTTPStatus.NOT_FOUND)
        g.okta_hooks_visitor = visitor
        if request.method == "POST" and not is_own(request.headers, request.host, request.scheme):
            return _page(
                HTTPStatus.FORBIDDEN,
                "problem.html",
                visit=None,
                title="This did not come from the console",
                text="Only the console's own pages may act: open the page again, and try again there.",
            )
        return None

    def _visitor(self) -> Visitor | None:
        authorize = self._authorize
        if authorize is None:  # it is registered nowhere, then
            return None
        try:
            return visitor_of(current_app.ensure_sync(authorize)())
        except NoVisitor as error:
            logger.error("Nobody may look at the console: %(error)s", {"error": error})  # noqa: TRY400 - no traceback helps
            return None

    def _view(self, rule: _Rule) -> Callable[..., Response]:
        def view(**arguments: Any) -> Response:
            _check_method("POST" if rule.is_action else "GET")
            # Not before somebody looks: it imports SQLAlchemy.
            make = getattr(import_module(f"{__package__}.{rule.module}"), rule.function)
            return self._answer(make, rule, arguments)

        view.__name__ = rule.endpoint
        return view

    def _answer(self, make: Callable[..., Any], rule: _Rule, arguments: dict[str, Any]) -> Response:
        host = self.host()
        state = state_of(host)
        if unknown := [name for name in self._hooks if name not in state.hooks]:
            raise ConfigurationError(
                f"This console is over the hook {unknown[0]!r}, which is not registered in its app: "
                "app.register_blueprint(hook), too."
            )
        visit = Visit(
            app=host,
            state=state,
            only=self._hooks,
            visitor=g.okta_hooks_visitor,
            reads=self._reads,
            org=self._org,
            section=rule.module,
            asked_hook=request.values.get("hook"),
            reason=request.form.get("reason", "").strip() or None,
        )
        try:
            if rule.is_action:
                visit.must_operate()
            _check_texts()
            made = make(visit, **arguments)
        except NoInbox as error:
            return _problem(HTTPStatus.OK, visit, "There is no inbox", str(error))
        except NotAllowed as error:
            return _problem(HTTPStatus.FORBIDDEN, visit, "You may look, but not act", str(error))
        except NotThere as error:
            return _problem(HTTPStatus.NOT_FOUND, visit, "Nothing is here", str(error))
        except InboxUnavailable as error:
            return _problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                visit,
                "The inbox does not answer",
                f"{error.reason}. Deliveries are answered with 503 meanwhile, so that Okta sends them again.",
            )
        return made if isinstance(made, Response) else Response(made, mimetype="text/html")


def _check_path(app: App, path: str, options: Mapping[str, Any]) -> None:
    """Look at whether something else answers where the overview is to be, such as another console.

    :raises ConfigurationError: if so.
    """
    if app.url_map.host_matching:
        return
    where = options.get("subdomain") or app.url_map.default_subdomain
    for rule in app.url_map.iter_rules():
        is_there = rule.rule.rstrip("/") == path.rstrip("/") and (rule.subdomain or "") == where
        if is_there and not rule.build_only and (rule.methods is None or "GET" in rule.methods):
            raise ConfigurationError(
                f"Nobody would see this console: the endpoint {rule.endpoint!r} of this app already answers at "
                f"{rule.rule}. Give it another path: Console(..., url_prefix=...)."
            )


def _file(name: str) -> Response:
    """Return one of our own files."""
    _check_method("GET")
    return send_from_directory(_STATIC, name)


def _check_method(method: str) -> None:
    if request.method.replace("HEAD", "GET") != method:
        raise MethodNotAllowed([method])


def _check_texts() -> None:
    """Go on only if PostgreSQL can be asked for what was given.

    :raises NotThere: if not.
    """
    if any("\0" in text for texts in request.values.listvalues() for text in texts):
        raise NotThere("No name or text has a NUL in it.")


def _problem(status: HTTPStatus, visit: Visit, title: str, text: str) -> Response:
    return _page(status, "problem.html", visit=visit, title=title, text=text)


def _page(status: HTTPStatus, template: str, **values: Any) -> Response:
    return Response(render(template, **values), status, mimetype="text/html")


def _protected(response: Response) -> Response:
    """Tell browsers what they may do with a page; whoever may not look gets what they get elsewhere in the app."""
    if "okta_hooks_visitor" in g:
        response.headers.update(_HEADERS)
        is_file = (request.endpoint or "").endswith(".static")
        response.headers["Cache-Control"] = "private, no-cache" if is_file else "no-store"
    return response

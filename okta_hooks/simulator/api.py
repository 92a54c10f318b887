"""The paths of Okta's API that an org has."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from flask import Flask, Response, request

from . import errors, org_settings
from .admission import API, OAUTH, RATE_LIMITS, RateLimits, add_admission
from .callers import add_check_of_callers
from .errors import RequestRefused, TokenRefused
from .json_bodies import as_answer, no_content, read_object
from .own_paths import add_own_paths
from .page import add_page

if TYPE_CHECKING:
    from werkzeug.exceptions import HTTPException

    from .org import Org


def create_app(org: Org, rate_limits: dict[str, int] | None = None) -> Flask:
    """Return the application that speaks for an org.

    :param rate_limits: Requests a minute, by the beginning of the path: the longest that fits counts.
    """
    app = Flask(__name__, static_folder=None)
    # The SDK of the 2.9 line writes a slash before each query.
    app.url_map.strict_slashes = False
    add_check_of_callers(app, org)
    add_admission(app, org, RateLimits({**RATE_LIMITS, **(rate_limits or {})}))
    _add_refusals(app, org)
    _add_oauth(app, org)
    _add_org(app, org)
    _add_event_hooks(app, org)
    _add_log(app, org)
    add_own_paths(app, org)
    add_page(app, org)
    return app


def _add_org(app: Flask, org: Org) -> None:
    @app.get("/.well-known/okta-organization")
    def tell_names() -> Response:
        return as_answer(org_settings.metadata(org))

    @app.get(f"{API}org")
    def tell_settings() -> Response:
        return as_answer(org_settings.settings(org))


def _add_oauth(app: Flask, org: Org) -> None:
    @app.post(f"{OAUTH}token")
    def grant_token() -> Response:
        grant = org.access.grant(request.form.to_dict(), f"{org.url}{OAUTH}token", org.clock())
        return as_answer(grant.as_json())


def _add_refusals(app: Flask, org: Org) -> None:
    @app.errorhandler(RequestRefused)
    def refuse(refused: RequestRefused) -> Response:
        answer = as_answer(refused.as_json(org.new_error_id()), refused.status)
        answer.headers.update(refused.headers)
        return answer

    @app.errorhandler(TokenRefused)
    def refuse_token(refused: TokenRefused) -> Response:
        return as_answer(refused.as_json(), refused.status)

    @app.errorhandler(HTTPStatus.NOT_FOUND)
    def refuse_path(_: HTTPException) -> Response:
        return refuse(errors.not_found(f"Resource not found: {request.path} (URI)"))

    @app.errorhandler(HTTPStatus.METHOD_NOT_ALLOWED)
    def refuse_method(_: HTTPException) -> Response:
        return refuse(errors.wrong_method())

    @app.errorhandler(HTTPStatus.INTERNAL_SERVER_ERROR)
    def admit_failure(_: HTTPException) -> Response:
        return refuse(errors.broken())


def _add_event_hooks(app: Flask, org: Org) -> None:
    hooks = f"{API}eventHooks"

    @app.get(hooks)
    def list_hooks() -> Response:
        return as_answer(org.hooks())

    @app.post(hooks)
    def create_hook() -> Response:
        return as_answer(org.create_hook(read_object()))

    @app.get(f"{hooks}/<hook_id>")
    def get_hook(hook_id: str) -> Response:
        return as_answer(org.hook(hook_id))

    @app.put(f"{hooks}/<hook_id>")
    def replace_hook(hook_id: str) -> Response:
        return as_answer(org.replace_hook(hook_id, read_object()))

    @app.delete(f"{hooks}/<hook_id>")
    def delete_hook(hook_id: str) -> Response:
        org.delete_hook(hook_id)
        return no_content()

    @app.post(f"{hooks}/<hook_id>/lifecycle/verify")
    def verify_hook(hook_id: str) -> Response:
        return as_answer(org.verify_hook(hook_id))

    @app.post(f"{hooks}/<hook_id>/lifecycle/activate")
    def activate_hook(hook_id: str) -> Response:
        return as_answer(org.activate_hook(hook_id))

    @app.post(f"{hooks}/<hook_id>/lifecycle/deactivate")
    def deactivate_hook(hook_id: str) -> Response:
        return as_answer(org.deactivate_hook(hook_id))


def _add_log(app: Flask, org: Org) -> None:
    @app.get(f"{API}logs")
    def read_log() -> Response:
        arguments = request.args.to_dict()
        page = org.log(**arguments)
        response = as_answer(page.events)
        response.headers.add("Link", f'<{_log_url(org, arguments)}>; rel="self"')
        if page.after is not None:
            following = _log_url(org, {**arguments, "after": page.after})
            response.headers.add("Link", f'<{following}>; rel="next"')
        return response


def _log_url(org: Org, arguments: dict[str, str]) -> str:
    return f"{org.url}{API}logs?{urlencode(arguments)}"

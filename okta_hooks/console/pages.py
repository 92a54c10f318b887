"""The templates, in an environment of their own: nothing that a host does to its templates changes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask import current_app, request, url_for
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import shown

if TYPE_CHECKING:
    from .visit import Visit

_environment = Environment(
    loader=PackageLoader(__package__ or "", "templates/okta_hooks_console"),
    autoescape=True,
    finalize=shown.visible,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    ago=shown.ago,
    code=shown.code,
    duration=shown.duration,
    exact=shown.exact,
    lines=shown.lines,
    moment=shown.moment,
    name=shown.name,
    number=shown.number,
    plural=shown.plural,
    revealed=shown.revealed,
    share=shown.share,
    size=shown.size,
    span=shown.span,
)


def _link(endpoint: str, **values: Any) -> Markup:
    """Return a URL below this console, under whatever prefix and name; what is None or empty stays out of it."""
    given = {key: value for key, value in values.items() if value not in (None, "", (), [])}
    return Markup.escape(url_for(f".{endpoint}", **given))


def _proof() -> Markup:
    """Return the field by which Flask-WTF knows a form, if the host has it look at every POST."""
    token = current_app.jinja_env.globals.get("csrf_token")
    is_looked_for = "csrf" in current_app.extensions and current_app.config["WTF_CSRF_ENABLED"]
    if not is_looked_for or not callable(token):
        return Markup("")
    field = current_app.config["WTF_CSRF_FIELD_NAME"]
    return Markup('<input type="hidden" name="{}" value="{}">').format(field, token())


_environment.globals.update(link=_link, proof=_proof)


def render(template: str, *, visit: Visit | None, **values: Any) -> str:
    """Return a page.

    :param visit: None for a page that tells nothing of the app, not even what other pages there are.
    """
    scope = visit and visit.scope
    return _environment.get_template(template).render(
        asked=request.args, visit=visit, scope=scope, now=time.time(), **values
    )

"""The answer to a request that is refused, as RFC 9457 has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from http import HTTPStatus


def problem(status: HTTPStatus, detail: str) -> Response:
    """Return a refusal.

    :param detail: What to do. It repeats nothing of the request.
    """
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    return Response(
        json.dumps(body),
        status=status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )

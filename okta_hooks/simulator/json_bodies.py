"""Reading JSON from requests, and answering with it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import Response, request

from . import errors


def as_answer(document: object, status: int = 200) -> Response:
    """Return the answer that holds a document."""
    return Response(
        json.dumps(document, separators=(",", ":")), status=status, mimetype="application/json"
    )


def no_content() -> Response:
    """Return the answer that holds nothing."""
    answer = Response(status=HTTPStatus.NO_CONTENT)
    del answer.headers["Content-Type"]
    return answer


def read_object(*expected: str) -> Any:
    """Return the object in the body of the request.

    :param expected: What to say if there is none.
    :raises RequestRefused: if there is none.
    """
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise errors.malformed(*expected)
    return body

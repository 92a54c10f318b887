"""The app of ``stored``, with the endpoints for machines, which says which process has answered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from okta_hooks.operations import Operations

from .stored import app

if TYPE_CHECKING:
    from flask import Response

__all__ = ["app"]

app.register_blueprint(Operations())


@app.after_request
def name_process(answer: Response) -> Response:
    """Say which process it is."""
    answer.headers["X-Process"] = str(os.getpid())
    return answer

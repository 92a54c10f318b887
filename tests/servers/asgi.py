"""The same app for servers that speak ASGI."""

from __future__ import annotations

import asyncio
from typing import Any

from a2wsgi import WSGIMiddleware

from okta_hooks import state_of

from .app import app

__all__ = ["asgi", "with_lifespan"]

asgi = WSGIMiddleware(app)


async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Stop the receivers when the server is told to stop, as the documentation has it."""
    if scope["type"] != "lifespan":
        await asgi(scope, receive, send)
        return
    while True:
        message = await receive()
        is_over = message["type"] == "lifespan.shutdown"
        if is_over:
            await asyncio.to_thread(state_of(app).close)
        await send({"type": f"{message['type']}.complete"})
        if is_over:
            return

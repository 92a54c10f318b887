"""The same app for servers that speak ASGI."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware

from .app import app

__all__ = ["asgi"]

asgi = WSGIMiddleware(app)

"""What ``celery -A`` names in the tests."""

from __future__ import annotations

from .celery_app import of_environment

app = of_environment()

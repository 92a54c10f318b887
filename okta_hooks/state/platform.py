"""Platforms that freeze a process after each answer, and take its disk away with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from okta_hooks.settings import CELERY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from okta_hooks.settings import Settings

#: What each sets in the environment of every process.
_PLATFORMS: Final = {
    "K_SERVICE": "Cloud Run",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "GAE_ENV": "App Engine",
}


class Unfit(NamedTuple):
    """What will not work on the platform, and the cure."""

    text: str
    cure: str


def unfit(settings: Settings) -> Iterator[Unfit]:
    """Return what is configured so that it does not work on the platform that this process runs on."""
    name = next((name for key, name in _PLATFORMS.items() if os.environ.get(key)), None)
    if name is None or settings.inbox is None:
        return
    if settings.worker == "thread":
        yield Unfit(
            f'This runs on {name}, which freezes threads after each answer, and OKTA_HOOKS_WORKER is "thread": '
            "receivers stand still in between.",
            'Set OKTA_HOOKS_WORKER="external", and let a scheduler POST to /okta/tick each minute '
            "(okta_hooks.operations.Operations), or run flask okta-hooks worker --drain as a job.",
        )
    if settings.worker == CELERY:
        yield Unfit(
            f'This runs on {name}, which freezes threads after each answer, and OKTA_HOOKS_WORKER is "celery": '
            "the relay in a web process stands still in between, and receivers wait.",
            "Run flask okta-hooks relay as a service of its own, where nothing is frozen, "
            'and set OKTA_HOOKS_WORKER="external" for the web processes alone.',
        )
    if settings.inbox.reveal().startswith("sqlite"):
        yield Unfit(
            f"This runs on {name}, where no disk outlives an instance, and the inbox is an SQLite file: "
            "stored events are lost with it.",
            "Set OKTA_HOOKS_INBOX to the URL of a PostgreSQL database.",
        )

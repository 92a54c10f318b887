"""What an app's own code may ask for: that its receivers run now, in this thread or in one of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .app import state_of

if TYPE_CHECKING:
    from flask import Flask


def start(app: Flask) -> None:
    """Start what this process has at work, which otherwise starts with its first request.

    That is the writer of the inbox and, with ``OKTA_HOOKS_WORKER = "thread"``, the thread that runs receivers,
    or with ``"celery"`` the one that gives tickets for them to Celery.
    It is for a hook of the server's that runs in each of its processes, after the fork: without it, a process that
    nobody asks anything leaves what is due to the others, and the first request waits for what is imported.

    Nothing happens if this process is at work already, without an inbox, or with ``TESTING``.
    If the inbox cannot be used that is logged, and the next request tries again.

    :raises RuntimeError: if no hook is registered in the app.
    """
    state_of(app).start()


def preload(app: Flask) -> None:
    """Import what a process at work needs, in a server's first process, before it forks the others.

    They share that memory, and each begins sooner. Nothing is opened, and no thread is started:
    that is for :func:`start`, in each of them after the fork.

    :raises RuntimeError: if no hook is registered in the app.
    """
    state_of(app).preload()


def drain(app: Flask, until: float | None = None) -> int:
    """Run receivers in this thread, on all that is stored and due, until nothing is due any more.

    It is for tests, for scripts and jobs, and for platforms that freeze threads between requests.
    An attempt that has failed is due again later: it is not waited for.
    While another worker has an SQLite inbox this waits until nothing is due, or until that worker has stopped.

    :param until: When to stop at the latest, by ``time.monotonic()``: no receiver is called after that.
        One that is running then is waited for.
    :return: how many attempts were made here.
    :raises RuntimeError: if no hook is registered in the app, or it has no inbox.
    :raises okta_hooks.exceptions.InboxUnavailable: if the inbox cannot be used.
    """
    return state_of(app).runtime().drain(until)

"""What ``make play`` runs: a simulated Okta org, the app beside this file, and its console, until Ctrl-C.

Everything is on the loopback, and gone when it ends.
"""

from __future__ import annotations

import argparse
import logging
import queue
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from examples.demo import App, Failed, reserved_port
from okta_hooks.simulator import Org, Simulator
from okta_hooks.simulator.company import Company

ORG_PORT = 8088
APP_PORT = 8090
#: How often it looks whether the app is still there.
LOOK_SECONDS = 0.5
LEAVERS = ("dennis.ritchie@example.com", "hedy.lamarr@example.com", "joan.clarke@example.com")


class Playground(NamedTuple):
    """What runs: the org, and the app."""

    org: Org
    app: App

    @property
    def console_url(self) -> str:
        """Where the app's console is."""
        return f"{self.app.url}/okta/console"


def free(port: int) -> int:
    """Return a port if it can be had, or else 0, by which the system chooses one."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except OSError:
        return 0


def register(app: App) -> None:
    """Let ``flask okta-hooks apply`` create the hook at the org, and have it verified.

    :raises Failed: if it does not.
    """
    command = [sys.executable, "-m", "flask", "--app", "play", "okta-hooks", "apply", "--yes"]
    applied = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=Path(__file__).parents[1],
        env=app.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        raise Failed(f"The hook was not registered:\n{applied.stdout}{applied.stderr}")


def begin_the_day(org: Org) -> None:
    """Let things happen, so that there is something to see: those who work there come, and three have left."""
    for person in Company(org).people:
        target = person.as_entity() | {"changeDetails": None}
        org.emit("user.lifecycle.create", target=target)
        for group in person.groups:
            org.emit("group.user_membership.add", target=[f"user:{person.login}", f"group:{group}"])
        org.emit("user.session.start", actor=person.as_entity(), count=4)
    for login in LEAVERS:
        org.emit("user.lifecycle.deactivate", target=f"user:{login}")


def play(stack: ExitStack, org_port: int, app_port: int) -> Playground:
    """Start everything.

    :param stack: Ends what was started.
    :raises Failed: if something does not start.
    """
    org = Org(seed=7, http_hooks=True)
    stack.enter_context(Simulator(org, port=free(org_port)))
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    port = stack.enter_context(reserved_port(free(app_port)))
    app = App(
        Path(folder),
        port,
        "play:create_app()",
        FLASK_OKTA_HOOKS_MAX_ATTEMPTS="3",
        FLASK_OKTA_HOOKS_ORG_URL=org.url,
        FLASK_OKTA_HOOKS_API_TOKEN=org.token,
        FLASK_OKTA_HOOKS_URL=f"http://127.0.0.1:{port}/okta/events",
    )
    stack.callback(app.stop)
    app.start()
    register(app)
    begin_the_day(org)
    return Playground(org, app)


def main() -> int:
    """Run until told to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.play", description=__doc__)
    for name, port in (("org", ORG_PORT), ("app", APP_PORT)):
        parser.add_argument(
            f"--{name}-port",
            type=int,
            default=port,
            help="any other if it is taken (default: %(default)s)",
        )
    given = parser.parse_args()
    # The page tells of deliveries that fail.
    logging.getLogger("okta_hooks.simulator").addHandler(logging.NullHandler())
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: told.put(number))
    with ExitStack() as stack:
        try:
            playground = play(stack, given.org_port, given.app_port)
            print(f"An Okta org, with buttons:   {playground.org.url}/")
            print(f"An app that gets its events: {playground.app.url}/")
            print(f"The console of that app:     {playground.console_url}")
            print("Ctrl-C ends all three.", flush=True)
            while told.empty():
                playground.app.check()
                wait(told)
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
    return 0


def wait(told: queue.SimpleQueue[int]) -> None:
    """Wait a little, or until told to stop."""
    with suppress(queue.Empty):
        told.put(told.get(timeout=LOOK_SECONDS))


if __name__ == "__main__":
    sys.exit(main())

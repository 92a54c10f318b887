"""``python -m okta_hooks.simulator``."""

from __future__ import annotations

import argparse
import logging
import os
import queue
import re
import secrets
import signal
import sys

from okta_hooks.threads import next_in
from okta_hooks.wire.limits import MOST_EVENTS_A_DAY

from .org import Org
from .server import Simulator

PORT = 8088
TOKEN_VARIABLE = "OKTA_SIMULATOR_TOKEN"  # noqa: S105 - the name of a variable
_HIGHEST_PORT = 65535


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {_HIGHEST_PORT}")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no token: it has blanks, or nothing")
    return text


def _quota(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Run an org until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m okta_hooks.simulator",
        description="An Okta org on 127.0.0.1: event hooks, System Log, and deliveries as Okta makes them.",
    )
    parser.add_argument(
        "--port", type=_port, default=PORT, help="0 takes any (default: %(default)s)"
    )
    parser.add_argument(
        "--token",
        type=_token,
        default=os.environ.get(TOKEN_VARIABLE) or f"00{secrets.token_urlsafe(30)}",
        help=f"the API token (default: the one in {TOKEN_VARIABLE}, or else a new one at each start)",
    )
    parser.add_argument("--seed", type=int, help="make the same ids and events each time")
    parser.add_argument(
        "--http-hooks", action="store_true", help="take http:// URLs of hooks, as Okta does not"
    )
    parser.add_argument(
        "--quota",
        type=_quota,
        default=MOST_EVENTS_A_DAY,
        metavar="N",
        help="how many events that hooks ask for are delivered in 24 hours (default: %(default)s)",
    )
    parser.add_argument(
        "--change-seconds",
        type=_seconds,
        default=0,
        metavar="S",
        help="how long a hook that was changed gets nothing (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: arrived.put(number))
    org = Org(
        token=given.token,
        seed=given.seed,
        http_hooks=given.http_hooks,
        change_seconds=given.change_seconds,
        quota=given.quota,
    )
    simulator = Simulator(org, port=given.port)
    try:
        simulator.start()
    except OSError as error:
        raise SystemExit(f"Port {given.port} cannot be had: {error.strerror}.") from error
    try:
        print(f"An Okta org at {simulator.url}, with the API token {org.token!r}.", flush=True)
        next_in(arrived)
    finally:
        simulator.stop()


if __name__ == "__main__":
    main()

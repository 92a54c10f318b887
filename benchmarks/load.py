"""Puts load on a server: as much as it bears, by ``wrk``; or at a fixed pace, whatever it answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from okta_hooks.testing import make_delivery, make_event

from .apps import PATH, SECRET
from .servers import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES: Final = (
    "user.session.start",
    "user.lifecycle.create",
    "group.user_membership.add",
    "user.authentication.sso",
)
_SCRIPT: Final = Path(__file__).with_name("deliver.lua")
#: wrk's own is 2 s: who answers late is slow, but answers.
_SECONDS_TO_ANSWER: Final = 30


def body(events: int, marker: str | None = None) -> str:
    """Return a delivery as Okta minifies it.

    :param marker: What stands for each uuid; by default they are uuids.
    """
    made = [
        make_event(TYPES[number % len(TYPES)], uuid=marker or str(uuid.uuid1()))
        for number in range(events)
    ]
    return json.dumps(make_delivery(made), separators=(",", ":"), ensure_ascii=False)


def bodies(events: int, in_each: int) -> Iterator[str]:
    """Yield deliveries that hold so many events together."""
    pieces = body(in_each, "@@").split("@@")
    for _ in range(0, events, in_each):
        uuids = [str(uuid.uuid1()) for _ in range(in_each)]
        yield "".join(part for pair in zip(pieces, [*uuids, ""], strict=True) for part in pair)


def require_wrk() -> None:
    """Stop if the load generator is missing.

    :raises SystemExit: with the cure.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("The load generator wrk is missing: apt-get install wrk")


def as_much_as_possible(port: int, events: int, seconds: int, folder: Path) -> float:
    """Return how many deliveries a server answers per second, from ``THREADS`` connections at once.

    :param events: How many each holds.
    :raises RuntimeError: if any was not answered with 204.
    """
    template = folder / f"delivery-{events}.json"
    if not template.exists():
        template.write_text(body(events, "@@"), encoding="utf-8")
    command = ["wrk", "--threads=1", f"--connections={THREADS}", f"--duration={seconds}s"]
    command += [f"--timeout={_SECONDS_TO_ANSWER}s", f"--script={_SCRIPT}"]
    ran = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{PATH}", "--", template, SECRET],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + _SECONDS_TO_ANSWER,
    )
    figures = json.loads(ran.stdout.splitlines()[-1])
    if figures["errors"]:
        raise RuntimeError(f"Not everything was answered:\n{ran.stdout}")
    return float(figures["requests"] / figures["microseconds"] * 1e6)


def at_a_pace(port: int, per_second: float, seconds: float) -> list[float]:
    """Return how many seconds each answer took, counted from when its request was due.

    An open loop: what is slow delays no later request, and a late request counts as slow.
    Each comes on a connection of its own, as from many senders.
    """
    return asyncio.run(_at_a_pace(port, per_second, seconds))


async def _at_a_pace(port: int, per_second: float, seconds: float) -> list[float]:
    requests = [_request(text) for text in bodies(int(per_second * seconds), 1)]
    begin = time.monotonic() + 0.5

    async def send(number: int) -> float:
        due = begin + number / per_second
        await asyncio.sleep(due - time.monotonic())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(requests[number])
        status = await reader.readline()
        took = time.monotonic() - due
        writer.close()
        if b" 204 " not in status:
            raise RuntimeError(f"Not acknowledged: {status!r}")
        return took

    return await asyncio.gather(*(send(number) for number in range(len(requests))))


def _request(text: str) -> bytes:
    payload = text.encode()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {SECRET}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + payload

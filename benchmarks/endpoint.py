"""How many deliveries a second an endpoint answers with 204."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from .figures import turns
from .load import as_much_as_possible
from .servers import Process, gunicorn, okta_hooks, port_of, running, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .figures import Figures

SIZES: Final = (1, 100)
PLAIN: Final = "Flask, get_json and one signal per event; stores nothing"
SDK: Final = "FastAPI, LogEvent of Okta's SDK; stores nothing"
SQLITE: Final = "okta_hooks, SQLite"
FAST: Final = "okta_hooks[fast], SQLite"
FAST_POSTGRESQL: Final = "okta_hooks[fast], PostgreSQL"
_SECONDS_TO_WARM_UP: Final = 1


class Contender(NamedTuple):
    """A server to be measured. ``inbox`` makes the URL of an empty database of its own, if it has one."""

    name: str
    command: list[str]
    environment: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it
    inbox: Callable[[Path], str] | None = None
    worker: str = "external"


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'inbox.sqlite3'}"


def contenders(postgresql: Callable[[], str]) -> list[Contender]:
    """Return everybody, in the order of the table."""
    slow = {"BENCH_WITHOUT_FAST": "1"}
    ours = gunicorn("ours")
    return [
        Contender("Flask, empty view", gunicorn("bare")),
        Contender(PLAIN, gunicorn("plain")),
        Contender(SDK, uvicorn("sdk")),
        Contender("floor: Flask, json, sqlite3, group commit", gunicorn("floor"), slow, _sqlite),
        Contender("floor, msgspec", gunicorn("floor"), {}, _sqlite),
        Contender("okta_hooks, no inbox: receivers in the request", ours, slow),
        Contender("okta_hooks[fast], no inbox: receivers in the request", ours),
        Contender(SQLITE, ours, slow, _sqlite),
        Contender(FAST, ours, {}, _sqlite),
        Contender("okta_hooks[fast], SQLite, and its worker in the process", ours, {}, _sqlite, "thread"),
        Contender("okta_hooks, PostgreSQL", ours, slow, lambda _: postgresql()),
        Contender(FAST_POSTGRESQL, ours, {}, lambda _: postgresql()),
    ]  # fmt: skip


def measure(
    figures: Figures,
    postgresql: Callable[[], str],
    folder: Path,
    *,
    rounds: int,
    seconds: int,
) -> None:
    """Let everybody answer for some seconds, in turn, in each round."""
    everybody = contenders(postgresql)
    with ExitStack() as stack:
        # What stores nothing stays; what stores begins anew each time, with an empty database.
        kept = {
            one.name: stack.enter_context(
                running(one.command, one.environment | okta_hooks(None), folder)
            )
            for one in everybody
            if one.inbox is None
        }
        for one in turns(everybody, rounds):
            for events in SIZES:
                item = f"deliveries of {events} answered per second"
                server = kept.get(one.name)
                figures.measure(item, [one.name], _rate, one, server, events, seconds, folder)


def _rate(
    one: Contender, server: Process | None, events: int, seconds: int, folder: Path
) -> list[float]:
    for old in folder.glob("inbox.sqlite3*"):
        old.unlink()
    environment = one.environment
    if one.inbox is not None:
        url = one.inbox(folder)
        environment = (
            environment
            | okta_hooks(url, one.worker)
            | {"BENCH_FLOOR": url.removeprefix("sqlite:///")}
        )
    with nullcontext(server) if server else running(one.command, environment, folder) as process:
        port = port_of(process)
        as_much_as_possible(port, events, _SECONDS_TO_WARM_UP, folder)
        rate = as_much_as_possible(port, events, seconds, folder)
    if not rate:
        raise RuntimeError("Nothing was answered.")
    return [rate]

"""How many deliveries a second an endpoint answers with 204."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from .figures import turns
from .load import as_much_as_possible, at_a_pace
from .servers import (
    THREADS,
    Process,
    durable_redis,
    gunicorn,
    okta_hooks,
    port_of,
    running,
    uvicorn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .figures import Figures

SIZES: Final = (1, 100)
PLAIN: Final = "Flask, get_json and one signal per event; stores nothing"
SDK: Final = "FastAPI, LogEvent of Okta's SDK; stores nothing"
SQLITE: Final = "okta_hooks, SQLite"
FAST: Final = "okta_hooks[fast], SQLite"
FAST_POSTGRESQL: Final = "okta_hooks[fast], PostgreSQL"
ORM_SQLITE: Final = "Flask-SQLAlchemy, a row for each event, SQLite"
ORM_POSTGRESQL: Final = "Flask-SQLAlchemy, a row for each event, PostgreSQL"
CELERY: Final = "Celery, .delay for each event, Redis, appendfsync always"
PROCRASTINATE: Final = "Procrastinate, .defer for each event, PostgreSQL"
PROCRASTINATE_BATCH: Final = "Procrastinate, .batch_defer, PostgreSQL"
#: What people would build for events that must not be lost, and which of ours each is compared with.
DURABLE: Final = {
    ORM_SQLITE: (FAST,),
    ORM_POSTGRESQL: (FAST_POSTGRESQL,),
    CELERY: (FAST, FAST_POSTGRESQL),  # Redis is neither of our databases
    PROCRASTINATE: (FAST_POSTGRESQL,),
    PROCRASTINATE_BATCH: (FAST_POSTGRESQL,),
}
_SECONDS_TO_WARM_UP: Final = 1
#: What is under way at the end of a load does not count: who answers fewer than so many a second is given longer.
_FEW: Final = 50
_SECONDS_FOR_FEW: Final = 15


class Contender(NamedTuple):
    """A server to be measured. ``store`` makes an empty one of its own, if it has one, and yields its URL."""

    name: str
    command: list[str]
    environment: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it
    store: Callable[[Path], AbstractContextManager[str]] | None = None
    worker: str = "external"


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    for old in folder.glob("inbox.sqlite3*"):
        old.unlink()
    yield f"sqlite:///{folder / 'inbox.sqlite3'}"


def contenders(new: Callable[[], str]) -> list[Contender]:
    """Return everybody, in the order of the table.

    :param new: Makes an empty database of PostgreSQL.
    """

    @contextmanager
    def postgresql(folder: Path) -> Iterator[str]:
        yield new()

    @contextmanager
    def for_procrastinate(folder: Path) -> Iterator[str]:
        from procrastinate import App, SyncPsycopgConnector

        url = new()
        with App(connector=SyncPsycopgConnector(conninfo=url, min_size=1)).open() as jobs:
            jobs.schema_manager.apply_schema()
        yield url

    peer = partial(gunicorn, module="durable_peers")
    slow = {"BENCH_WITHOUT_FAST": "1"}
    ours = gunicorn("ours")
    return [
        Contender("Flask, empty view", gunicorn("bare")),
        Contender(PLAIN, gunicorn("plain")),
        Contender(SDK, uvicorn("sdk")),
        Contender(ORM_SQLITE, peer("flask_sqlalchemy"), {}, _sqlite),
        Contender(ORM_POSTGRESQL, peer("flask_sqlalchemy"), {}, postgresql),
        Contender(CELERY, peer("celery"), {}, durable_redis),
        Contender(PROCRASTINATE, peer("procrastinate"), {}, for_procrastinate),
        Contender(PROCRASTINATE_BATCH, peer("procrastinate_batch"), {}, for_procrastinate),
        Contender("floor: Flask, json, sqlite3, group commit", gunicorn("floor"), slow, _sqlite),
        Contender("floor, msgspec", gunicorn("floor"), {}, _sqlite),
        Contender("okta_hooks, no inbox: receivers in the request", ours, slow),
        Contender("okta_hooks[fast], no inbox: receivers in the request", ours),
        Contender(SQLITE, ours, slow, _sqlite),
        Contender(FAST, ours, {}, _sqlite),
        Contender("okta_hooks[fast], SQLite, and its worker in the process", ours, {}, _sqlite, "thread"),
        Contender("okta_hooks, PostgreSQL", ours, slow, postgresql),
        Contender(FAST_POSTGRESQL, ours, {}, postgresql),
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
            if one.store is None
        }
        for one in turns(everybody, rounds):
            for events in SIZES:
                item = f"deliveries of {events} answered per second"
                server = kept.get(one.name)
                figures.measure(item, [one.name], _rate, one, server, events, seconds, folder)


def _rate(
    one: Contender, server: Process | None, events: int, seconds: int, folder: Path
) -> list[float]:
    with ExitStack() as stack:
        if one.store is not None:
            url = stack.enter_context(one.store(folder))
            environment = okta_hooks(url, one.worker) | {"BENCH_STORE": url}
            server = stack.enter_context(
                running(one.command, one.environment | environment, folder)
            )
        assert server is not None  # noqa: S101 - who has no store of its own runs already
        port = port_of(server)
        as_much_as_possible(port, events, _SECONDS_TO_WARM_UP, folder)
        rate = as_much_as_possible(port, events, seconds, folder)
        if rate < _FEW:
            # These wait until the server is done with what the load has left behind.
            at_a_pace(port, THREADS, 1)
            rate = as_much_as_possible(port, events, _SECONDS_FOR_FEW, folder)
    if not rate:
        raise RuntimeError("Nothing was answered.")
    return [rate]

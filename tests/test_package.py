from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
from types import FunctionType
from typing import TYPE_CHECKING

import pytest

import okta_hooks
from okta_hooks.wire import events

if TYPE_CHECKING:
    from pathlib import Path

IMPORTED_WHEN_USED = [
    "okta_hooks.wire.events",
    "okta_hooks.wire.reading",
    "okta_hooks.wire.raw",
    "okta_hooks.work.dispatch",
    "okta_hooks.catalog",
    "okta_hooks._event_types",
    "marshmallow",
    "sqlalchemy",
    "okta",
    "msgspec",
]

PATHS = [
    "okta_hooks.catalog:CatalogEntry",
    "okta_hooks.catalog:EventType",
    "okta_hooks.catalog:RELEASE",
    "okta_hooks.catalog:entries",
    "okta_hooks.catalog:get",
    "okta_hooks.catalog:suggest",
    "okta_hooks.cli:group",
    "okta_hooks.exceptions:InboxUnavailable",
    "okta_hooks.inbox:metadata",
    "okta_hooks.pytest_plugin:DeadLetter",
    "okta_hooks.pytest_plugin:ReceiverRuns",
    "okta_hooks.pytest_plugin:Run",
    "okta_hooks.pytest_plugin:okta_org",
    "okta_hooks.signals:delivery_refused",
    "okta_hooks.signals:delivery_stored",
    "okta_hooks.signals:event_dead",
    "okta_hooks.signals:event_done",
    "okta_hooks.signals:hook_verified",
    "okta_hooks.signals:inconsistency_found",
    "okta_hooks.signals:receiver_done",
    "okta_hooks.signals:receiver_failed",
    "okta_hooks.signals:receiver_started",
    "okta_hooks.simulator:Answer",
    "okta_hooks.simulator:HttpSender",
    "okta_hooks.simulator:Org",
    "okta_hooks.simulator:Request",
    "okta_hooks.simulator:RequestRefused",
    "okta_hooks.simulator:Send",
    "okta_hooks.simulator:Simulator",
    "okta_hooks.simulator:app_sender",
    "okta_hooks.simulator.app_org:AppOrg",
    "okta_hooks.testing:make_delivery",
    "okta_hooks.testing:make_event",
]

# Python audits (PEP 578) what opens a file, a connection or a process; threads it only counts.
WATCHED = """
import json, sys, threading

import flask  # and all it imports

opened = []

def watch(event, arguments):
    if event == "open":
        opened.append(str(arguments[0]))
    elif event.startswith(("socket.", "subprocess.", "sqlite3.", "os.fork", "os.mkdir")):
        opened.append(event)

sys.addaudithook(watch)
import okta_hooks
okta = okta_hooks.EventHook("okta")
{then}
print(json.dumps([opened, threading.active_count(), sorted(sys.modules)]))
"""

REGISTER = """
app = flask.Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None)
app.register_blueprint(okta)
"""

WITH_INBOX = """
app = flask.Flask("host")
app.config.update(
    OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX="sqlite:///{path}", OKTA_HOOKS_WORKER="external"
)
app.register_blueprint(okta)
"""

ANSWER = """
body = '{"data": {"events": [{"uuid": "a", "eventType": "user.session.start"}]}}'
assert client.post("/okta/events", data=body, headers={"Authorization": "s3cret"}).status_code == 204
print(json.dumps([[], 0, sorted(set(sys.modules) - before)]))
okta_hooks.state_of(app).close()
sys.exit()
"""


def watched(then: str) -> tuple[list[str], int, list[str]]:
    """Return what an interpreter opens while it imports the package, its threads and modules."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED.format(then=then)],
        capture_output=True,
        text=True,
        check=True,
    )
    opened, threads, modules = json.loads(done.stdout)
    return opened, threads, modules


def not_code(opened: list[str]) -> list[str]:
    return [name for name in opened if not name.endswith((".py", ".pyc"))]


@pytest.mark.parametrize("name", sorted({*okta_hooks.__all__} - {"__version__"}))
def test_every_name_is_there(name: str) -> None:
    """What ``__all__`` promises can be imported, and is a class or a function of this package."""
    value = getattr(okta_hooks, name)

    assert isinstance(value, type | FunctionType)
    assert value.__name__ == name
    assert value.__module__.startswith("okta_hooks.")


def test_version() -> None:
    """The version is that of the distribution."""
    assert okta_hooks.__version__ == importlib.metadata.version("okta-hooks")


def test_import_of_everything() -> None:
    """``from okta_hooks import *`` brings the lazy names too."""
    namespace: dict[str, object] = {}
    exec("from okta_hooks import *", namespace)

    assert set(okta_hooks.__all__) <= set(namespace)
    assert namespace["LogEvent"] is events.LogEvent


@pytest.mark.parametrize("path", PATHS)
def test_where_users_import_from(path: str) -> None:
    """What is not in ``okta_hooks`` itself is where the pages say that it is."""
    module, name = path.split(":")

    assert hasattr(importlib.import_module(module), name)


def test_entry_points() -> None:
    """Flask finds the commands, pytest the fixtures, and OpenTelemetry the spans."""
    found = {
        (point.group, point.name): point.value
        for point in importlib.metadata.distribution("okta-hooks").entry_points
    }

    assert found == {
        ("flask.commands", "okta-hooks"): "okta_hooks.cli:group",
        ("opentelemetry_instrumentor", "okta_hooks"): (
            "okta_hooks.opentelemetry:OktaHooksInstrumentor"
        ),
        ("pytest11", "okta-hooks"): "okta_hooks.pytest_plugin",
    }


def test_all_is_sorted() -> None:
    """``__all__`` is in order and names nothing twice."""
    assert okta_hooks.__all__ == sorted(set(okta_hooks.__all__))


def test_unknown_attribute() -> None:
    """What the package does not have is an AttributeError, also where the module for it has it."""
    with pytest.raises(AttributeError, match="module 'okta_hooks' has no attribute 'ALIASES'"):
        okta_hooks.ALIASES  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="Envelope"):
        exec("from okta_hooks import Envelope")


def test_import_brings_only_what_it_needs() -> None:
    """The catalogue, the schemas and everything optional are imported when they are used."""
    _, _, modules = watched("")

    assert "okta_hooks.blueprint" in modules
    assert not set(IMPORTED_WHEN_USED) & set(modules)


@pytest.mark.parametrize("then", ["", REGISTER], ids=["import", "register"])
def test_import_and_registration_open_nothing(then: str) -> None:
    """Importing and registering start no thread and open no file or connection but Python's code."""
    opened, threads, _ = watched(then)

    assert not_code(opened) == []
    assert threads == 1


def test_the_watch_sees() -> None:
    """The catalogue's file is opened by the first look into it, so the tests above can fail."""
    opened, threads, _ = watched(
        "from okta_hooks import catalog\ncatalog.get('x')\n"
        "stop = threading.Event()\nthreading.Thread(target=stop.wait, daemon=True).start()\n"
        "import socket; socket.socket().close()"
    )

    assert [name.rpartition("/")[2] for name in not_code(opened)] == [
        "event_types.csv",
        "socket.__new__",
    ]
    assert threads == 2


def test_a_process_that_was_started(tmp_path: Path) -> None:
    """Its first answer waits for no import of ours, nor for one of what we need."""
    imported = watched(f"""
{WITH_INBOX.format(path=tmp_path / "inbox.sqlite3")}
okta_hooks.start(app)
client = app.test_client()
client.get("/")  # what the client itself imports
# Usual events need no marshmallow, before or after.
before = {{name for name in sys.modules if not name.startswith("marshmallow")}}
{ANSWER}
""")[2]

    assert imported == []


def test_a_process_that_was_preloaded(tmp_path: Path) -> None:
    """What a server imports before it forks is all that its processes need to start and to answer."""
    imported = watched(f"""
{WITH_INBOX.format(path=tmp_path / "inbox.sqlite3")}
client = app.test_client()
okta_hooks.state_of(app).close()
app.testing = True
client.get("/")
app.testing = False
okta_hooks.preload(app)
before = set(sys.modules)
okta_hooks.start(app)
odd = '{{"data": {{"events": [{{"uuid": "b", "eventType": null}}]}}}}'
assert client.post("/okta/events", data=odd, headers={{"Authorization": "s3cret"}}).status_code == 204
{ANSWER}
""")[2]

    assert imported == []


def test_preloading_opens_nothing(tmp_path: Path) -> None:
    """No thread is started before the fork, and no file opened: neither would come along whole."""
    register = WITH_INBOX.format(path=tmp_path / "inbox.sqlite3")
    opened, threads, modules = watched(f"{register}\nokta_hooks.preload(app)")

    assert [name for name in not_code(opened) if str(tmp_path) in name] == []
    assert "sqlite3.connect" not in opened
    assert threads == 1
    assert "sqlalchemy" in modules
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "others"),
    [
        ("sqlite:///{path}", "sqlalchemy.dialects.postgresql"),
        ("postgresql:///x", "sqlalchemy.dialects.sqlite"),
    ],
)
def test_nothing_of_the_other_database(tmp_path: Path, url: str, others: str) -> None:
    """A process imports no dialect but that of its own database."""
    register = WITH_INBOX.replace("sqlite:///{path}", url).format(path=tmp_path / "inbox.sqlite3")
    _, _, modules = watched(f"{register}\nokta_hooks.preload(app)")

    assert others not in modules

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks.cli import group
from okta_hooks.wire.protocol import CHALLENGE_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from okta_hooks import EventHook
    from okta_hooks.state import AppState

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]

SECRET = {"Authorization": "correct horse"}
URL = "/okta/events"
PATIENCE = 30.0


def state_of(app: Flask) -> AppState:
    state: AppState = app.extensions["okta_hooks"]
    return state


def threads_since(before: set[threading.Thread]) -> set[str]:
    """Return the names of our threads that were started since."""
    return {
        thread.name
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith("okta-hooks-")
    }


@pytest.fixture
def heard(okta: EventHook) -> threading.Semaphore:
    """Return a semaphore that a receiver releases for each event."""
    semaphore = threading.Semaphore(0)

    @okta.on("*")
    def receiver(sender: Flask, **extra: Any) -> None:
        semaphore.release()

    return semaphore


@pytest.fixture
def make(inbox_url: str, make_app: AppFactory, okta: EventHook) -> Iterator[AppFactory]:
    """Return a function that makes an app with an inbox; whatever it starts is stopped."""
    made = []

    def make(**config: Any) -> Flask:
        made.append(make_app(okta, **{"INBOX": inbox_url} | config))
        return made[-1]

    yield make
    for app in made:
        state = state_of(app)
        if state._runtime is not None:  # noqa: SLF001 - asking for it would make it
            assert state.runtime().worker.stop(PATIENCE)
            state.close()


def test_a_delivery_reaches_its_receivers(
    make: AppFactory, heard: threading.Semaphore, body: BodyFactory
) -> None:
    """With nothing but a URL configured, what is posted is stored, answered, and handed on."""
    answer = make().test_client().post(URL, data=body("user.lifecycle.create"), headers=SECRET)

    assert answer.status_code == 204
    assert heard.acquire(timeout=PATIENCE)


def test_the_first_request_of_any_kind_starts_the_worker(
    make: AppFactory, heard: threading.Semaphore, body: BodyFactory
) -> None:
    """What was left from before a restart waits for no delivery: a health check suffices."""
    first = make(WORKER="external")
    before = set(threading.enumerate())
    assert first.test_client().post(URL, data=body("a.b"), headers=SECRET).status_code == 204
    assert threads_since(before) == {"okta-hooks-writer", "okta-hooks-counters"}
    second = make()

    assert second.test_client().get("/no/such/page").status_code == 404

    assert heard.acquire(timeout=PATIENCE)


def test_the_worker_starts_once(make: AppFactory, heard: threading.Semaphore) -> None:
    """However many requests come."""
    app = make()
    before = set(threading.enumerate())
    for _ in range(3):
        app.test_client().get("/")

    state_of(app).runtime().work()

    names = [thread.name for thread in set(threading.enumerate()) - before]
    assert "okta-hooks-worker" in names
    assert len(names) == len(set(names)), names


def test_registration_opens_nothing(
    make_app: AppFactory, okta: EventHook, heard: threading.Semaphore, tmp_path: Path
) -> None:
    """No thread, no file, no folder: all of that waits for the first request."""
    before = set(threading.enumerate())

    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/new/inbox.sqlite3")
    app.test_client()
    app.test_request_context()
    app.app_context()

    assert list(tmp_path.iterdir()) == []
    assert threads_since(before) == set()
    assert state_of(app)._runtime is None  # noqa: SLF001 - asking for it would make it


def test_no_worker_while_testing(
    make: AppFactory, heard: threading.Semaphore, body: BodyFactory
) -> None:
    """Under ``app.testing`` deliveries are stored, and a test decides when they are handed on."""
    app = make()
    app.testing = True
    before = set(threading.enumerate())

    assert app.test_client().post(URL, data=body("a.b"), headers=SECRET).status_code == 204

    assert threads_since(before) == {"okta-hooks-writer"}
    assert not heard.acquire(blocking=False)
    assert state_of(app).runtime().worker.drain() == 1
    assert heard.acquire(blocking=False)


def test_no_worker_in_a_command(make: AppFactory, heard: threading.Semaphore) -> None:
    """``flask okta-hooks inbox`` looks, and touches nothing."""
    app = make()
    before = set(threading.enumerate())

    result = app.test_cli_runner().invoke(group, ["inbox"])

    assert result.exit_code == 0, result.output
    assert threads_since(before) == set()


def test_without_an_inbox_there_is_no_runtime(make_app: AppFactory, okta: EventHook) -> None:
    """``INBOX=None`` starts nothing at a request, and asking for it is a mistake."""
    app = make_app(okta)
    before = set(threading.enumerate())

    app.test_client().get("/")

    assert threads_since(before) == set()
    with pytest.raises(RuntimeError, match="OKTA_HOOKS_INBOX is None"):
        state_of(app).runtime()


def test_an_inbox_that_fails_disturbs_no_other_page(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The host's pages work; a delivery gets the 503 that makes Okta send it again, and so does a verification."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    (tmp_path / "inbox.sqlite3").mkdir()
    app.add_url_rule("/", view_func=lambda: "hello")

    assert app.test_client().get("/").text == "hello"
    assert app.test_client().post(URL, data=body("a.b"), headers=SECRET).status_code == 503
    answer = app.test_client().get(URL, headers={CHALLENGE_HEADER: "c"})
    assert answer.status_code == 503
    assert "The verification of the hook 'okta' was refused: " in caplog.text
    state_of(app).close()


def test_a_relative_file_lies_in_the_instance_folder(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, body: BodyFactory
) -> None:
    """The default is a file of the app's own, wherever the server was started."""
    app = make_app(okta, INBOX="sqlite:///okta_hooks.sqlite3", WORKER="external")
    app.instance_path = str(tmp_path / "instance")

    assert app.test_client().post(URL, data=body("a.b"), headers=SECRET).status_code == 204

    assert (tmp_path / "instance" / "okta_hooks.sqlite3").exists()
    state_of(app).runtime().inbox.close()


def test_no_request_waits_while_a_worker_is_stopped(
    make: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """A receiver that takes its time holds up who closes the app, and no delivery; a new worker takes over then."""
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Semaphore(0)

    @okta.on("*")
    def receiver(sender: Flask, **extra: Any) -> None:
        has_begun.set()
        assert may_end.wait(PATIENCE)
        has_ended.release()

    app = make()
    client = app.test_client()
    assert client.post(URL, data=body({"uuid": "1", "eventType": "a.b"}), headers=SECRET)
    assert has_begun.wait(PATIENCE)
    old = state_of(app).runtime()
    closing = threading.Thread(target=state_of(app).close)
    closing.start()
    try:
        assert old.worker.stopping.wait(PATIENCE)

        answer = client.post(URL, data=body({"uuid": "2", "eventType": "a.b"}), headers=SECRET)

        assert answer.status_code == 204
        assert closing.is_alive()
        assert state_of(app).runtime() is not old
    finally:
        may_end.set()
        closing.join()
    assert has_ended.acquire(timeout=PATIENCE)
    assert has_ended.acquire(timeout=PATIENCE)


def test_what_is_closed_starts_nothing(make: AppFactory, heard: threading.Semaphore) -> None:
    """A request that has got hold of a runtime just before it was closed leaves no worker behind."""
    runtime = state_of(make()).runtime()
    runtime.close()
    before = set(threading.enumerate())

    runtime.work()

    assert threads_since(before) == set()


def test_an_app_that_is_closed_during_its_first_request_starts_again(
    make: AppFactory,
    heard: threading.Semaphore,
    body: BodyFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is closed as soon as it has begun does not count as being at work."""
    app = make()
    closing = threading.Thread(target=state_of(app).close)

    def close(*_: Any) -> None:
        closing.start()
        deadline = time.monotonic() + PATIENCE
        while state_of(app)._runtime is not None and time.monotonic() < deadline:  # noqa: SLF001 - nothing else tells of it
            time.sleep(0.001)

    # It is called when the worker has just started.
    monkeypatch.setattr("atexit.register", close)
    app.test_client().get("/")
    monkeypatch.undo()
    closing.join()

    assert app.test_client().post(URL, data=body("a.b"), headers=SECRET).status_code == 204

    assert heard.acquire(timeout=PATIENCE)


FORKS = """
import os, sys, warnings
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")

@okta.on("*")
def receiver(sender, event, **extra):
    print(event.uuid, os.getpid(), flush=True)

app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX=sys.argv[1])
app.register_blueprint(okta)
warnings.simplefilter("ignore")  # newer Pythons warn of threads at a fork, and rightly so

def post(uuid):
    event = {"uuid": uuid, "eventType": "a.b"}
    # As from Okta, it comes again when the machine was too busy to store it in time.
    assert 204 in (
        app.test_client().post(
            "/okta/events", json={"data": {"events": [event]}}, headers={"Authorization": "s"}
        ).status_code
        for _ in range(10)
    )

def drain():
    runtime = app.extensions["okta_hooks"].runtime()
    while runtime.inbox.overview.counts().open:
        pass
    assert runtime.worker.stop(30)
    return runtime

before = None
if sys.argv[2] == "after a request":
    post("parent")
    before = drain()
pid = os.fork()
if not pid:
    post("child")
    assert drain() is not before
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("pids", os.getpid(), pid, flush=True)
"""


@pytest.mark.parametrize("when", ["before a request", "after a request"])
def test_every_process_has_its_own(inbox_url: str, when: str) -> None:
    """A server that forks after the app was made, or even used, has a working inbox in each child."""
    command = [sys.executable, "-c", FORKS, inbox_url, when]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)

    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    *ran, (_, parent, child) = (line.split() for line in ended.stdout.splitlines())
    assert ran == ([["parent", parent]] if when == "after a request" else []) + [["child", child]]


EXITS = """
import sys, threading
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")
has_begun = threading.Event()

@okta.on("*")
def receiver(sender, event, **extra):
    has_begun.set()
    print("begun", flush=True)
    sys.stdin.readline()
    print("ended", flush=True)

app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX=sys.argv[1])
app.register_blueprint(okta)
events = [{"uuid": str(number), "eventType": "a.b"} for number in range(5)]
# As from Okta, it comes again when the machine was too busy to store it in time.
assert 204 in (
    app.test_client().post(
        "/okta/events", json={"data": {"events": events}}, headers={"Authorization": "s"}
    ).status_code
    for _ in range(10)
)
has_begun.wait()
"""


def test_an_exit_waits_for_what_is_in_hand(inbox_url: str, open_inbox: Callable[..., Any]) -> None:
    """A process that ends lets its receiver finish, writes that down, and gives the rest back."""
    process = subprocess.Popen(
        [sys.executable, "-c", EXITS, inbox_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        output, _ = process.communicate("\n", timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0
    assert output == "ended\n"
    (lane,) = open_inbox().overview.receivers()
    assert (lane.done, lane.claimed, lane.pending) == (1, 0, 4)


HELPS = """
import sys
from flask.cli import main
sys.argv = ["flask", "--app", "host", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit:
    print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("command", "shown"),
    [((), "  okta-hooks "), (("okta-hooks",), "  plan "), (("okta-hooks", "plan"), "  --url ")],
)
def test_help_imports_little(tmp_path: Path, command: tuple[str, ...], shown: str) -> None:
    """Whoever runs another command does not wait for SQLAlchemy, or for Okta's SDK, to be imported."""
    (tmp_path / "host.py").write_text(
        "from flask import Flask\n"
        "from okta_hooks import EventHook\n"
        "app = Flask(__name__)\n"
        "app.config['OKTA_HOOKS_SECRET'] = 's'\n"
        "app.register_blueprint(EventHook('okta'))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", HELPS, *command],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    *printed, imported = ended.stdout.splitlines()
    assert any(line.startswith(shown) for line in printed)
    assert "okta_hooks.cli.commands" in imported.split()
    assert ("host" in imported.split()) == (command == ())
    slow = {"sqlalchemy", "psycopg", "okta", "aiohttp"}
    if "plan" not in command:  # whose own help imports what it compares with
        slow |= {"marshmallow", "okta_hooks.cli.subscription"}
    assert slow.isdisjoint(imported.split())


def test_an_app_can_go(make_app: AppFactory, okta: EventHook, tmp_path: Path) -> None:
    """Apps that a test suite makes by the hundred are not kept by a signal."""
    import gc  # here only
    import weakref  # here only

    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    reference = weakref.ref(app)
    del app
    deadline = time.monotonic() + PATIENCE
    while reference() is not None and time.monotonic() < deadline:
        gc.collect()

    assert reference() is None


def test_no_thread_to_be_had(
    okta: EventHook, body: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong before the commit is a 503, also where the host answers errors with an OK."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config["OKTA_HOOKS_SECRET"] = "s"
    app.register_blueprint(okta)
    app.register_error_handler(Exception, lambda error: ("sorry", 200))
    ran = threading.Event()
    okta.on("*")(lambda sender, **extra: ran.set())

    def post() -> int:
        headers = {"Authorization": "s"}
        return app.test_client().post("/okta/events", data=body("a"), headers=headers).status_code

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert post() == 503

    assert post() == 204
    assert ran.wait(30)
    runtime = app.extensions["okta_hooks"].runtime()
    assert runtime.worker.stop(30)
    runtime.inbox.close()


def test_a_host_that_looks_at_the_runtime_early(
    okta: EventHook, body: Callable[..., bytes], tmp_path: Path
) -> None:
    """Who asks for the runtime before the first request gets a worker with that request all the same."""
    ran = threading.Event()
    okta.on("*")(lambda sender, **extra: ran.set())
    app = Flask("host", instance_path=str(tmp_path))
    app.config["OKTA_HOOKS_SECRET"] = "s"
    app.register_blueprint(okta)
    runtime = app.extensions["okta_hooks"].runtime()

    headers = {"Authorization": "s"}
    assert (
        app.test_client().post("/okta/events", data=body("a"), headers=headers).status_code == 204
    )

    assert ran.wait(30)
    assert runtime.worker.stop(30)
    runtime.inbox.close()

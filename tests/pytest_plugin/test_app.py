from __future__ import annotations

import pytest

from .support import APP, FLAKY, Runner

pytest_plugins = ["pytester"]

WRITES = """
import os
import pytest

def files(app):
    return sorted(os.listdir(app.instance_path)) if os.path.isdir(app.instance_path) else []

def post(app, okta_delivery, okta_event, type="user.lifecycle.deactivate"):
    answer = app.test_client().post(
        "/okta/events",
        json=okta_delivery([okta_event(type, target="user:ada")]),
        headers={"Authorization": "correct horse"},
    )
    assert answer.status_code == 204
    return answer
"""


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("testing", [True, False], ids=["testing", "not testing"])
def test_the_inbox_never_lies_in_the_instance_folder(
    run: Runner, scope: str, *, testing: bool
) -> None:
    """It is in a folder of pytest's whether ``okta_org`` is used or not, for an app of any scope."""
    source = APP.replace(
        "@pytest.fixture\ndef app", f'@pytest.fixture(scope="{scope}")\ndef app'
    ).replace("TESTING=True", f"TESTING={testing}")
    result = run(
        source,
        WRITES,
        """
import okta_hooks.inbox

def test_only_the_app(app, okta_delivery, okta_event):
    post(app, okta_delivery, okta_event)
    inbox = app.extensions["okta_hooks"].runtime().inbox
    assert inbox.path.exists()
    assert not str(inbox.path).startswith(app.instance_path)
    assert files(app) == []

def test_the_org(app, okta_org, tmp_path):
    okta_org.emit("user.lifecycle.deactivate", target="user:bob")
    okta_org.settle()
    assert left == ["bob"]
    assert app.extensions["okta_hooks"].runtime().inbox.path.parent == tmp_path
    assert files(app) == []

def test_the_app_after_the_org(app, okta_delivery, okta_event, tmp_path):
    post(app, okta_delivery, okta_event)
    assert app.extensions["okta_hooks"].runtime().inbox.path.parent != tmp_path
    assert files(app) == []
""",
    )

    result.assert_outcomes(passed=3)


def test_the_org_of_one_test_leaves_nothing_to_the_next(run: Runner) -> None:
    """With an app for the whole session, each test has an empty inbox, and other uuids."""
    result = run(
        APP.replace("@pytest.fixture\ndef app", '@pytest.fixture(scope="session")\ndef app'),
        """
uuids = set()

@pytest.mark.parametrize("number", range(3))
def test_empty(app, okta_org, number):
    runtime = app.extensions["okta_hooks"].runtime()
    runtime.inbox.open()
    assert runtime.inbox.overview.counts().done == 0
    uuids.update(event["uuid"] for event in okta_org.emit("user.lifecycle.deactivate"))
    okta_org.settle()
    assert runtime.inbox.overview.counts().done == 1
    assert len(uuids) == number + 1
""",
    )

    result.assert_outcomes(passed=3)


def test_an_app_without_an_inbox_runs_receivers_in_the_request(run: Runner) -> None:
    """``OKTA_HOOKS_INBOX = None`` stays as it is, and no file is written; what receivers raise comes out."""
    result = run(
        APP.replace("TESTING=True", "TESTING=True, OKTA_HOOKS_INBOX=None"),
        FLAKY,
        WRITES,
        """
def test_no_inbox(app, okta_org, tmp_path, okta_receivers):
    okta_org.emit("user.lifecycle.deactivate", target="user:ada")
    okta_org.settle()
    assert left == ["ada"]
    assert [run.attempt for run in okta_receivers.done] == [1]
    assert files(app) == []
    assert list(tmp_path.iterdir()) == []

def test_no_inbox_and_a_failure(okta_org, okta_receivers):
    okta_org.emit("user.session.end")
    with pytest.raises(ExceptionGroup) as raised:
        okta_org.settle()
    assert raised.group_contains(LookupError, match="never")
    assert [run.attempt for run in okta_receivers.failed] == [1]
""",
    )

    result.assert_outcomes(passed=2)


def test_whatever_hooks_the_app_has_are_registered(run: Runner) -> None:
    """Several hooks, nested, each with its own secret, a rotation list, and in another header."""
    result = run(
        """
import pytest
from flask import Blueprint, Flask
from okta_hooks import EventHook

people, groups = EventHook("people"), EventHook("groups", url_prefix="/groups/")
seen = []

@people.on("*")
@groups.on("*")
def note(sender, hook, **extra):
    seen.append(hook.name)

@pytest.fixture
def app():
    api = Blueprint("api", __name__, url_prefix="/api")
    api.register_blueprint(groups, url_prefix="/v1/groups")
    app = Flask("host")
    app.config.update(
        OKTA_HOOKS_SECRET={"people": ["new", "old"], "groups": "other"},
        OKTA_HOOKS_AUTH_HEADER="X-Okta-Secret",
    )
    app.register_blueprint(people, url_prefix="/people")
    app.register_blueprint(api)
    return app

def test_hooks(okta_org):
    urls = {hook["channel"]["config"]["uri"] for hook in okta_org.hooks()}
    assert {url.rstrip("/") for url in urls} == {
        "https://localhost/people", "https://localhost/api/v1/groups"
    }
    okta_org.emit("user.lifecycle.deactivate")
    okta_org.settle()
    assert sorted(seen) == ["groups", "people"]
""",
    )

    result.assert_outcomes(passed=1)


def test_an_app_without_a_secret_gets_none(run: Runner) -> None:
    """With ``OKTA_HOOKS_ALLOW_UNAUTHENTICATED`` the org is registered without a secret."""
    result = run(
        APP.replace('OKTA_HOOKS_SECRET="correct horse"', "OKTA_HOOKS_ALLOW_UNAUTHENTICATED=True"),
        """
def test_open(okta_org):
    okta_org.emit("user.lifecycle.deactivate", target="user:ada")
    okta_org.settle()
    assert left == ["ada"]
    assert okta_org.hooks()[0]["channel"]["config"]["authScheme"] is None
""",
    )

    result.assert_outcomes(passed=1)


def test_an_app_without_a_hook_fails_clearly(run: Runner) -> None:
    """The message says what is missing, and no traceback of the plugin's stands before it."""
    result = run(
        """
import pytest
from flask import Flask

@pytest.fixture
def app():
    return Flask("host")

def test_nothing(okta_org):
    pass
""",
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*No hook is registered in this app: app.register_blueprint(EventHook(name))."]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_an_app_that_cannot_be_verified_is_left_as_it_was(run: Runner) -> None:
    """A login wall in front of the hook is an error of the test; the next one has its own inbox again."""
    result = run(
        APP.replace("@pytest.fixture\ndef app", '@pytest.fixture(scope="session")\ndef app'),
        WRITES,
        """
wall = True

@pytest.fixture(autouse=True)
def log_in(app):
    if not app.before_request_funcs:
        app.before_request(lambda: ("Who are you?", 403) if wall else None)

def test_wall(okta_org):
    raise AssertionError("unreachable")

def test_no_wall(app, okta_event, okta_delivery, tmp_path_factory):
    global wall
    wall = False
    post(app, okta_delivery, okta_event)
    assert "test_wall" not in str(app.extensions["okta_hooks"].runtime().inbox.path)
""",
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*The endpoint answered 403, not 200*"])


def test_no_thread_is_left_behind(run: Runner) -> None:
    """An app that is not ``testing`` has a worker thread while its test runs, and none afterwards."""
    result = run(
        APP.replace("TESTING=True", "TESTING=False"),
        WRITES,
        """
import threading
from okta_hooks.signals import receiver_done

# The session around this one may have some of its own.
before = set(threading.enumerate())

def names():
    started = set(threading.enumerate()) - before
    return {thread.name for thread in started if "okta-hooks" in thread.name}

def test_worker(app, okta_delivery, okta_event):
    done = threading.Event()
    with receiver_done.connected_to(lambda sender, **extra: done.set()):
        post(app, okta_delivery, okta_event)
        assert done.wait(30)
    assert "okta-hooks-worker" in names()

def test_none_of_before():
    assert names() == set()

def test_org(app, okta_delivery, okta_event, okta_org):
    post(app, okta_delivery, okta_event)
    assert "okta-hooks-worker" not in names()
    okta_org.settle()
    assert left == ["ada"]

def test_none_of_the_org():
    assert names() == set()
""",
    )

    result.assert_outcomes(passed=4)


def test_what_was_at_work_before_the_org_is_stopped(run: Runner) -> None:
    """If another fixture has already posted to an app, its worker does not run beside the org's."""
    result = run(
        APP.replace("TESTING=True", "TESTING=False"),
        WRITES,
        """
import threading

@pytest.fixture
def early(app):
    others = set(threading.enumerate())
    app.test_client().get("/health")
    (worker,) = (
        thread for thread in threading.enumerate()
        if thread.name == "okta-hooks-worker" and thread not in others
    )
    return worker

def test_org(early, okta_org):
    assert not early.is_alive()
    okta_org.emit("user.lifecycle.deactivate", target="user:ada")
    okta_org.settle()
    assert left == ["ada"]
""",
    )

    result.assert_outcomes(passed=1)


def test_what_is_no_app_is_not_touched(run: Runner) -> None:
    """What a fixture returns may be lazy, or refuse every question: nothing is asked of it, its class neither."""
    result = run(
        """
import pytest

class Lazy:
    def __getattribute__(self, name):
        raise RuntimeError(f"It was asked for its {name}.")

@pytest.fixture
def lazy():
    return Lazy()

def test_lazy(lazy):
    assert type(lazy) is Lazy
"""
    )

    result.assert_outcomes(passed=1)

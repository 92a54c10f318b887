from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# Importing the plugins that others bring takes longer than all else here, and each session does it again.
UNUSED = ("cacheprovider", "hypothesispytest", "anyio", "schemathesis")
APP = """
import pytest
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")
left = []

@okta.on("user.lifecycle.deactivate")
def offboard(sender, event, **extra):
    left.extend(user.alternate_id for user in event.targets_of("User"))

@pytest.fixture(autouse=True)
def nobody_has_left():
    left.clear()

@pytest.fixture
def app(tmp_path_factory):
    app = Flask("host", instance_path=str(tmp_path_factory.getbasetemp() / "instance"))
    app.config.update(TESTING=True, OKTA_HOOKS_SECRET="correct horse")
    app.register_blueprint(okta)
    return app
"""
FLAKY = """
attempts = []

@okta.on("user.session.start", name="flaky")
def flaky(sender, event, attempt, **extra):
    attempts.append(attempt)
    if attempt < 3:
        raise LookupError("not yet")

@okta.on("user.session.end", name="broken")
def broken(sender, event, **extra):
    raise LookupError("never")
"""


class Runner:
    """Runs sessions inside this one."""

    def __init__(self, pytester: pytest.Pytester, without: tuple[str, ...]) -> None:
        self.pytester = pytester
        self.without = without

    def __call__(self, *source: str, options: tuple[str, ...] = ()) -> pytest.RunResult:
        """Run a file of tests."""
        self.pytester.makepyfile("\n".join(source))
        return self.pytester.runpytest_inprocess(
            "-Werror", "-vv", *(f"-pno:{name}" for name in self.without), *options
        )

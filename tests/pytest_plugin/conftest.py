from __future__ import annotations

import pytest

# What the inner sessions use is imported here, for they put `sys.modules` back when they end.
import okta_hooks.pytest_plugin
import okta_hooks.simulator.app_org
import okta_hooks.state
import okta_hooks.testing  # noqa: F401 - for what importing does

from .support import UNUSED, Runner


@pytest.fixture(params=[(), ("flask",)], ids=["pytest-flask", "without"])
def run(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Runner:
    """Return what runs a file of tests in a session of its own, in which warnings are errors.

    Every test runs beside pytest-flask and without it.
    """
    return Runner(pytester, without=(*UNUSED, *request.param))

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.cli.output import Progress
from okta_hooks.cli.plan_output import print_plan
from okta_hooks.org.subscription import Plan

if TYPE_CHECKING:
    import pytest

#: What would clear the screen, and write a line of its own.
RAW = "\x1b[2J\nPlan:"
SHOWN = r"\x1b[2J\x0aPlan:"


def test_a_plan_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """What the org and the app say is printed on one line each, and what does not show is escaped."""
    made = Plan(
        live=None,
        name="okta",
        url="https://app.example.com/okta",
        auth_header=None,
        types=(f"a{RAW}",),
        add=(f"a{RAW}",),
        remove=(f"b{RAW}",),
    )

    print_plan(made, [f"c{RAW}"])

    printed = capsys.readouterr()
    assert f"a{SHOWN}\n" in printed.out
    assert f"b{SHOWN} (" in printed.out
    assert printed.err == f"Warning: c{SHOWN}\n"


def test_news_during_a_reading_move_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """So with lines that a reading of a log tells."""
    Progress(bar=False).tell(f"a{RAW}")

    assert capsys.readouterr().err == f"a{SHOWN}\n"

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.cli.output import Progress, counted

if TYPE_CHECKING:
    import pytest


def test_a_number_with_its_noun() -> None:
    """One is one, and all others are several, none included."""
    assert [counted(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]


def test_a_time_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out."""
    Progress(bar=False).begin(None, 0.0, "https://acme.okta.com")

    assert capsys.readouterr().err == "Reading the System Log of https://acme.okta.com.\n"

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("prometheus_client", reason="the extra prometheus is not installed")

FOLDER = Path(__file__).parent.parent / "docs" / "monitoring"
PROMTOOL = shutil.which("promtool")
NEEDS_PROMTOOL = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
#: What a rule or a panel says of a metric: its name, and the labels that it chooses by.
SELECTOR = re.compile(r"\b(okta_hooks_\w+)(?:\{([^}]*)\})?")


def exported() -> dict[str, set[str]]:
    """Return the labels of each series that a scrape may have, by its name."""
    from okta_hooks.metrics import families

    found: dict[str, set[str]] = {}
    for family in families(None):
        labels = set(family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001 - it has no sample to ask
        suffixes = {"counter": ["_total"], "gauge": [""]}.get(
            family.type, ["_bucket", "_count", "_sum"]
        )
        for suffix in suffixes:
            found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def labels_in(expression: str) -> set[str]:
    """Return the labels that an expression groups by."""
    groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    return {label.strip() for group in groups for label in group.split(",") if label.strip()}


def check(expression: str, known: dict[str, set[str]]) -> None:
    """Fail if an expression names a series or a label that is not exported."""
    used = SELECTOR.findall(expression)
    assert used, expression
    for name, chosen in used:
        assert name in known, expression
        by = set(re.findall(r"(\w+)\s*[=!]~?", chosen))
        assert by <= known[name], expression
    assert labels_in(expression) <= set.union(*(known[name] for name, _ in used)), expression


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_exported(rule: dict[str, Any]) -> None:
    """Its metrics and labels exist, and who is woken by it is told what to do."""
    known = exported()
    check(rule["expr"], known)

    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    (names,) = [{name for name, _ in SELECTOR.findall(rule["expr"])}]
    shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert shown <= set.union(*(known[name] for name in names))


def test_the_rules_are_for_what_goes_wrong() -> None:
    """There is one for each thing that nobody sees by looking at the app."""
    assert {rule["alert"].removeprefix("OktaHooks") for rule in RULES} == {
        "Absent",
        "Backlog",
        "BrokerAway",
        "DeadLetters",
        "NoRelay",
        "NoWorker",
        "Paused",
        "Quota",
        "Recovered",
        "Refusals",
        "Silence",
    }


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_exported(panel: dict[str, Any]) -> None:
    """Its metrics and labels exist, and it takes the data source that one chooses."""
    for target in panel["targets"]:
        check(target["expr"], exported())
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= {
            label for labels in exported().values() for label in labels
        }
    assert panel["datasource"]["uid"] == "${datasource}"


def test_the_dashboard_leaves_out_nothing() -> None:
    """Every family that is exported has its place there."""
    text = json.dumps(DASHBOARD)

    families = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in exported()}
    assert {name for name in families if name not in text} == set()
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@NEEDS_PROMTOOL
@pytest.mark.parametrize("command", [["check", "alerts.yml"], ["test", "alerts_test.yml"]])
def test_promtool(command: list[str]) -> None:
    """Prometheus itself can read the rules, and they fire when they are to, and not else."""
    what, file = command
    done = subprocess.run(
        [str(PROMTOOL), what, "rules", file],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr

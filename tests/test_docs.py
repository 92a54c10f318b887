from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from blinker import NamedSignal

import okta_hooks
from okta_hooks import catalog, settings, signals

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", fields(settings.Settings), ids=lambda field: field.name)
def test_every_setting_is_documented_with_its_default(setting: Any) -> None:
    """The page on configuration has a section for each key, and the default in it is the real one."""
    _, heading, section = page("docs/configuration.md").partition(
        f"# `{settings.PREFIX}{setting.name.upper()}`\n\n"
    )
    assert heading

    default = re.match(r"Default: `(.*)`\n", section)
    wanted = setting.default
    if isinstance(wanted, timedelta):
        wanted = wanted.days
    if setting.name == "secret":
        assert section.startswith("Required")
    else:
        assert default
        assert default[1] == (f'"{wanted}"' if isinstance(wanted, str) else repr(wanted))


def test_no_setting_is_documented_that_nothing_reads() -> None:
    """Every key that any page names is read."""
    known = {settings.PREFIX + field.name.upper() for field in fields(settings.Settings)}

    for path in [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        named = re.findall(r"OKTA_HOOKS_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
        assert set(named) <= known, path


@pytest.mark.parametrize("name", okta_hooks.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """The page on the API has whatever the package offers."""
    assert re.search(
        rf"^\.\. auto\w+:: (okta_hooks\.)?{name}(\(\))?$", page("docs/api.md"), re.MULTILINE
    )


@pytest.mark.parametrize(
    "name", [name for name, value in vars(signals).items() if isinstance(value, NamedSignal)]
)
def test_every_signal_about_the_service_is_documented(name: str) -> None:
    """The page on the API has each signal."""
    assert f"\n.. autodata:: {name}\n" in page("docs/api.md")


def test_the_release_of_the_catalogue_is_the_documented_one() -> None:
    """Who regenerates the catalogue is reminded to say so."""
    assert f"Okta's event types of release {catalog.RELEASE}" in page("CHANGELOG.md")


def test_every_dependency_is_justified() -> None:
    """CONTRIBUTING.md has a line for each dependency, and none for what is none."""
    groups = PROJECT["dependency-groups"].values()
    lines = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(line for group in groups for line in group if isinstance(line, str)),
    ]
    declared = {re.split(r"[\[>=]", line)[0] for line in lines}

    section = page("CONTRIBUTING.md").partition("## Dependencies")[2]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == declared


def test_the_order_of_modules_is_the_checked_one() -> None:
    """CONTRIBUTING.md has the modules in the order that import-linter checks."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")

    section = page("CONTRIBUTING.md").partition("## Where things live")[2].partition("## Tests")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == [name for name in reversed(layers) if name != "_event_types"]

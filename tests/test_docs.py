from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from blinker import NamedSignal

import okta_hooks
from okta_hooks import catalog, settings, signals
from okta_hooks.cli import group
from okta_hooks.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if isinstance(wanted, Secret):
            wanted = wanted.reveal()
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
    groups = [
        *PROJECT["dependency-groups"].values(),
        *PROJECT["project"]["optional-dependencies"].values(),
    ]
    lines = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(line for group in groups for line in group if isinstance(line, str)),
    ]
    declared = {re.split(r"[\[<>=]", line)[0] for line in lines} - {PROJECT["project"]["name"]}

    section = page("CONTRIBUTING.md").partition("## Dependencies")[2]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == declared


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
@pytest.mark.parametrize("package", ["Flask", "marshmallow", "SQLAlchemy"])
def test_the_lowest_versions_are_the_required_ones(name: str, package: str) -> None:
    """A page that says what has to be there names the versions that pyproject.toml requires."""
    lowest = {
        re.split(r"[\[<>=]", line)[0]: line.partition(">=")[2]
        for line in PROJECT["project"]["dependencies"]
    }

    sentence = re.search(r"^It needs .*or newer", page(name), re.MULTILINE)
    assert sentence
    assert re.search(rf"\b{package} {re.escape(lowest[package.lower()])}(?![.\d]*\d)", sentence[0])


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md", ".gitignore"])
def test_the_inbox_is_kept_out_of_version_control(name: str) -> None:
    """Whoever starts is told to ignore the instance folder, and the project, whose examples have one, does."""
    assert "instance/" in page(name)
    assert ".gitignore" in page(name) or "\ninstance/\n" in page(name)


def test_the_order_of_modules_is_the_checked_one() -> None:
    """CONTRIBUTING.md has the modules in the order that import-linter checks."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")

    section = page("CONTRIBUTING.md").partition("## Where things live")[2].partition("## Tests")[0]
    documented = [
        sorted(re.findall(r"`(\w+)`", row))
        for row in re.findall(r"^\| (`.+`) \|", section, re.MULTILINE)
    ]
    assert documented == [sorted(re.findall(r"\w+", layer)) for layer in layers]


def commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield a command and all below it: its path, itself, its context."""
    yield context.command_path.removeprefix(GROUP).strip(), command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, context, info_name=name))


GROUP = "flask okta-hooks"
COMMANDS = {
    path: (command, context)
    for path, command, context in commands(group, click.Context(group, info_name=GROUP))
}


def sections() -> dict[str, str]:
    """Return the sections on commands by heading; what stands before the first is the group's."""
    before, *parts = re.split(r"^## ", page("docs/command-line.md"), flags=re.MULTILINE)
    return {"": before} | dict(part.split("\n", 1) for part in parts)


def test_every_command_is_documented_and_no_other() -> None:
    """The page on the command line has a section for each command."""
    assert list(sections()) == list(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path or "the group")
def test_the_usage_of_a_command_is_what_help_prints(path: str) -> None:
    """A section quotes ``--help``, with every option; line breaks and columns are click's business."""
    command, context = COMMANDS[path]
    wanted = command.get_help(context)

    quoted = re.search(r"```text\n(.*?)```", sections()[path], re.DOTALL)
    assert quoted
    assert quoted[1].split() == wanted.split(), f"It should be:\n\n{wanted}"


def test_links_of_the_readme_lead_somewhere() -> None:
    """The README, which Sphinx does not build, links to files that are there."""
    linked = re.findall(r"\]\((?!https?://)([^)#]+)", page("README.md"))

    assert linked
    assert [path for path in linked if not (ROOT / path).is_file()] == []

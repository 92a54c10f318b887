from __future__ import annotations

import ast
import re
import tomllib
import xml.etree.ElementTree as ET
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
HOPS = re.findall(r"`(okta_hooks/[\w/]+\.py):([\w.]+)`", PAGE)
SVG = "{http://www.w3.org/2000/svg}"


def definition(body: list[ast.stmt], name: str) -> ast.stmt | None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return next((node for node in body if isinstance(node, kinds) and node.name == name), None)


def modules() -> set[str]:
    """Return the modules and folders that import-linter knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return set(re.findall(r"\w+", " ".join(layers)))


def test_each_way_has_hops() -> None:
    """The page says in hops how a delivery comes in, how the System Log does, and how both go on."""
    _, *ways = PAGE.partition("## A delivery's way, in hops")[2].split("\n### ")

    assert len(ways) == 3
    for way in ways:
        assert len(re.findall(r"^\| `okta_hooks/", way, re.MULTILINE)) >= 6
    assert PAGE.count("`okta_hooks/") == len(HOPS)


@pytest.mark.parametrize(("file", "name"), HOPS)
def test_a_hop_names_a_function_that_exists(file: str, name: str) -> None:
    """What the page calls the way of a delivery can be looked up in the code."""
    body: list[ast.stmt] = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = definition(body, part)
        assert found is not None, f"{file} has no {name}"
        body = getattr(found, "body", [])
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)


def test_threads_are_started_in_an_empty_context() -> None:
    """One module makes threads, so that none takes the context of whoever starts it along."""
    making = {
        path.relative_to(ROOT / "okta_hooks").as_posix()
        for path in (ROOT / "okta_hooks").rglob("*.py")
        if re.search(r"\bThread\(", path.read_text(encoding="utf-8"))
    }

    assert making == {"threads.py"}


def test_every_module_is_described_and_no_other() -> None:
    """The page has a paragraph on each module and folder of the package."""
    section = PAGE.partition("## The modules")[2].partition("\n## ")[0]
    headings = " ".join(re.findall(r"^### (.*)$", section, re.MULTILINE))

    assert sorted(re.findall(r"`(\w+)`", headings)) == sorted(modules())


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_drawing_names_modules_that_exist(picture: Path) -> None:
    """What a drawing sets in the type of code is a module or a folder, or a state in the glossary."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    states = set(re.findall(r"^\| `(\w+)` \|", glossary, re.MULTILINE))

    shown = {
        text.text
        for text in ET.parse(picture).iter(f"{SVG}text")
        if text.get("class") in {"module", "state"}
    }
    assert shown
    assert shown <= modules() | states


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_drawing_says_in_words_what_it_shows(picture: Path) -> None:
    """Who cannot see a drawing gets its title and what it shows; and the page shows each."""
    drawing = ET.parse(picture).getroot()

    assert drawing.get("role") == "img"
    assert all((drawing.findtext(f"{SVG}{name}") or "").strip() for name in ("title", "desc"))
    assert f"](pictures/{picture.name})" in PAGE


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_drawing_can_be_read_in_light_and_dark(picture: Path, scheme: str) -> None:
    """Text and lines stand out by 4.5 to 1, as WCAG 2 asks, from whatever they may be drawn on."""
    light, _, dark = picture.read_text(encoding="utf-8").partition("(prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    drawn = {name: colours.pop(name) for name in ("text", "quiet", "line")}
    filled = {name: value for name, value in colours.items() if not name.endswith("edge")}

    assert filled
    for (name, one), (other, two) in product(drawn.items(), filled.items()):
        darker, lighter = sorted((luminance(one), luminance(two)))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{name} on {other}"

"""Check that a software bill of materials names this version, and everything that it needs: used by ``make dist``."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def missing(document: dict[str, Any], project: dict[str, Any]) -> list[str]:
    """Return what a bill does not have: the version of the project, or one of its dependencies with a version.

    :param document: The bill, as CycloneDX has it in JSON: https://cyclonedx.org/specification/overview/
    :param project: The section ``project`` of ``pyproject.toml``.
    """
    root = document.get("metadata", {}).get("component", {})
    listed = {
        _normal(each["name"]) for each in document.get("components", ()) if each.get("version")
    }
    needed = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in project["dependencies"]]
    lacking = [name for name in needed if _normal(name) not in listed]
    if (_normal(root.get("name", "")), root.get("version")) != (
        _normal(project["name"]),
        project["version"],
    ):
        lacking.insert(0, f"{project['name']} {project['version']}")
    return lacking


def _normal(name: str) -> str:
    """Return a name as all of its spellings: https://packaging.python.org/en/latest/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Check the file that is named."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    if lacking := missing(document, project):
        raise SystemExit(f"{sys.argv[1]} lacks {', '.join(lacking)}.")


if __name__ == "__main__":
    main()

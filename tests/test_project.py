from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
YAML = [*WORKFLOWS, ROOT / ".pre-commit-config.yaml", ROOT / ".readthedocs.yaml"]


def read(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def jobs(workflow: str) -> dict[str, Any]:
    document = yaml.safe_load(read(f".github/workflows/{workflow}.yml"))
    found: dict[str, Any] = document["jobs"]
    return found


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in steps(job) if "run" in step]


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a job; one that calls another workflow has none."""
    found: list[dict[str, Any]] = job.get("steps", [])
    return found


def nox_assignment(name: str) -> ast.Module | ast.expr:
    """Return what the noxfile assigns to a name; running it would need nox, and shows this machine's Pythons."""
    for node in ast.parse(read("noxfile.py")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
    raise AssertionError(name)


def strings(tree: ast.AST) -> list[str]:
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_configuration_in_yaml_can_be_read(path: Path) -> None:
    """What only GitHub or Read the Docs would read is at least YAML, and says something."""
    assert isinstance(yaml.safe_load(read(path)), dict)


def test_every_python_is_tested_that_is_named() -> None:
    """The workflow's Pythons, the noxfile's and the classifiers are the same."""
    pythons = [item for item in strings(nox_assignment("PYTHONS")) if re.fullmatch(r"3\.\d+", item)]
    classified = [
        item.rpartition(" ")[2]
        for item in PROJECT["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", item)
    ]

    assert jobs("ci")["tests"]["strategy"]["matrix"]["python-version"] == pythons
    assert classified == pythons
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"


def test_the_workflow_runs_every_session_of_nox() -> None:
    """What nox runs by itself runs in the workflow: the suite on each Python, and the other sessions."""
    sessions = strings(nox_assignment("nox.options.sessions"))

    assert ["tests", *jobs("ci")["nox"]["strategy"]["matrix"]["session"]] == sessions


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_targets_that_exist(path: Path) -> None:
    """What a workflow makes, the Makefile has."""
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))

    made = {
        command.split()[1]
        for job in jobs(path.stem).values()
        for command in commands(job)
        if command.startswith("make ")
    }
    assert made
    assert made <= targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read(path: Path) -> None:
    """No job may write to the repository, and none keeps the token that it was checked out with."""
    document = yaml.safe_load(read(path))

    assert document["permissions"] == {"contents": "read"}
    assert document["concurrency"]["group"]
    for job in document["jobs"].values():
        assert job.get("permissions", {}) in ({}, {"id-token": "write"})
        for step in steps(job):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_only_what_was_checked_is_published() -> None:
    """The job that may publish waits for the whole suite, and builds nothing: it gets what `make dist` has checked."""
    ci, build, publish = (jobs("release")[name] for name in ("ci", "build", "publish"))

    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == ["ci", "build"]
    assert ci["uses"] == "./.github/workflows/ci.yml"
    # YAML 1.1 reads the key `on` as true.
    assert "workflow_call" in yaml.safe_load(read(".github/workflows/ci.yml"))[True]
    assert commands(publish) == []
    assert any(command.startswith("make dist") for command in commands(build))


def requirements(lines: list[Any]) -> set[str]:
    """Return the normal names in requirements; a group that includes another has an object for that."""
    named = [re.split(r"[^\w.-]", line)[0] for line in lines if isinstance(line, str)]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in named}


def test_what_developing_installs_is_locked() -> None:
    """Each dependency, of the extras and groups that are developed with, has a version: `make lock` has been run."""
    groups = PROJECT["dependency-groups"]
    needed = requirements(
        [
            *PROJECT["project"]["dependencies"],
            *(
                line
                for extra in PROJECT["project"]["optional-dependencies"].values()
                for line in extra
            ),
            *(line for group in ("test", "queues", "docs", "dev") for line in groups[group]),
        ]
    )
    locked = dict(line.split("==") for line in read("constraints.txt").splitlines() if "==" in line)

    assert needed - requirements(list(locked)) == {"okta-hooks"}
    assert all(re.match(r"\d", version) for version in locked.values())


def test_the_lock_is_installed_and_audited() -> None:
    """Who develops gets its versions, and a workflow asks each week what is known of them; no doubt counts as yes."""
    makefile = read("Makefile")

    assert "--group dev --constraint constraints.txt" in makefile
    assert "pip-audit --strict --disable-pip --no-deps --requirement constraints.txt" in makefile
    document = yaml.safe_load(read(".github/workflows/audit.yml"))
    assert document[True]["schedule"]
    assert [command.split()[:2] for command in commands(document["jobs"]["audit"])] == [
        ["make", "audit"]
    ]


def test_a_release_has_its_bill_of_materials() -> None:
    """What `make dist` writes and checks, the workflow keeps; it does not lie beside what PyPI takes."""
    kept = [
        step["with"]["path"]
        for step in steps(jobs("release")["build"])
        if step.get("uses", "").startswith("actions/upload-artifact@")
    ]

    assert kept == ["dist/", "build/okta_hooks.cdx.json"]
    assert "check_sbom.py build/okta_hooks.cdx.json" in read("Makefile")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return an environment in which this library and what it needs are installed, as far as their metadata go."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("[lL]ib/**/site-packages")
    for name in ("okta-hooks", *requirements(PROJECT["project"]["dependencies"])):
        distribution = importlib.metadata.distribution(name)
        (metadata,) = (file for file in distribution.files or () if file.name == "METADATA")
        installed = Path(str(distribution.locate_file(metadata))).parent
        shutil.copytree(installed, packages / installed.name)
    return folder


def test_a_bill_of_materials_is_complete(environment: Path, tmp_path: Path) -> None:
    """What the tool writes of an environment with this library passes, and none that lacks something.

    ``make dist`` does it with one into which the wheel was installed.
    """
    bill = tmp_path / "bill.json"
    tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml"]
    subprocess.run([*tool, "--output-file", str(bill), str(environment)], check=True, cwd=ROOT)
    check = [sys.executable, "scripts/check_sbom.py", str(bill)]
    subprocess.run(check, check=True, cwd=ROOT)

    document = json.loads(bill.read_text(encoding="utf-8"))
    document["components"] = [each for each in document["components"] if each["name"] != "blinker"]
    document["metadata"]["component"]["version"] = "0"
    bill.write_text(json.dumps(document), encoding="utf-8")
    ended = subprocess.run(check, check=False, cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == 1
    version = PROJECT["project"]["version"]
    assert ended.stderr == f"{bill} lacks okta-hooks {version}, blinker.\n"


def test_the_suite_has_pgbouncer_in_the_workflow() -> None:
    """Each job that runs the suite installs what no package index has, so that no test is left out for that."""
    suites = [
        commands(job)
        for job in jobs("ci").values()
        if any(command.startswith(("make test", "nox")) for command in commands(job))
    ]

    assert suites
    for commanded in suites:
        assert any("apt-get install" in command and "pgbouncer" in command for command in commanded)


def test_read_the_docs_builds_what_make_docs_builds() -> None:
    """Read the Docs has the dependencies of the group `docs`, and fails where `make docs` fails."""
    document = yaml.safe_load(read(".readthedocs.yaml"))

    assert "python -m pip install . --group docs" in document["build"]["jobs"]["install"]
    assert document["sphinx"] == {"configuration": "docs/conf.py", "fail_on_warning": True}


def test_addresses_of_the_project_are_those_it_declares() -> None:
    """Where a file names the repository or the documentation, it is the address in `project.urls`."""
    urls = PROJECT["project"]["urls"]
    source = urls["Source"].removeprefix("https://github.com/")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "pyproject.toml"]

    for page in pages:
        for owner, name in re.findall(r"github(?:usercontent)?\.com/([\w-]+)/([\w-]+)", read(page)):
            assert owner != "okta-hooks" or f"{owner}/{name}" == source, page
        for host in re.findall(r"https://[\w-]+\.readthedocs\.io", read(page)):
            assert "okta" not in host or host == urls["Documentation"], page


def test_links_of_the_readme_lead_somewhere_from_pypi_too() -> None:
    """PyPI shows the README without the files beside it: every link there is absolute."""
    (hook,) = PROJECT["tool"]["hatch"]["metadata"]["hooks"].values()
    text = "".join(read(fragment["path"]) for fragment in hook["fragments"])
    for substitution in hook["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)

    source = PROJECT["project"]["urls"]["Source"]
    linked = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", text)
    assert linked
    assert [link for _, link in linked if not link.startswith("https://")] == []
    assert f"{source}/blob/main/docs/quickstart.md" in {link for _, link in linked}
    raw = source.replace("://github.com/", "://raw.githubusercontent.com/")
    images = [link for mark, link in linked if mark]
    pictures = ("delivery.svg", "console.png")
    assert images == [f"{raw}/main/docs/pictures/{name}" for name in pictures]

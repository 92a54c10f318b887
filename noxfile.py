import re
import shutil
import tomllib
from itertools import chain
from pathlib import Path

import nox

PYPROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = [
    version for version in ("3.11", "3.12", "3.13", "3.14") if shutil.which(f"python{version}")
]

# What the extras install; of psycopg both parts.
EXTRAS = ("msgspec", "okta", "prometheus-client", "psycopg", "psycopg-binary")

# On all cores; a file stays together, for its tests share servers, and a page is one program.
SUITE = ("pytest", "--numprocesses", "logical", "--dist", "loadfile", "--no-loadscope-reorder")

nox.options.sessions = ["tests", "lowest", "bare"]


def install(session: nox.Session, *constraints: str) -> None:
    session.install("--upgrade", "pip>=25.1", silent=True)
    session.install("--editable", ".", "--group", "test", *constraints)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite on every Python from 3.11 that this machine has."""
    install(session)
    session.run("python", "-m", *SUITE, *session.posargs)


@nox.session(python=PYTHONS[:1])
def lowest(session: nox.Session) -> None:
    """Run the suite with the lowest versions of the dependencies that are allowed, of the extras too."""
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    declared = [*PYPROJECT["project"]["dependencies"], *chain.from_iterable(extras)]
    install(session, *(re.sub(r">=", "==", line) for line in declared))
    session.run("python", "-m", *SUITE, *session.posargs)


@nox.session(python=PYTHONS[:1])
def bare(session: nox.Session) -> None:
    """Run the suite without the extras: what needs one is skipped."""
    install(session)
    session.run("python", "-m", "pip", "uninstall", "--yes", *EXTRAS)
    session.run("python", "-m", *SUITE, *session.posargs)

from __future__ import annotations

import subprocess
import sys

import pytest

#: What each of the programs below begins with; they are ended by themselves, with SIGTERM.
BEGIN = """
import os, signal, sys, time
from pathlib import Path
from okta_hooks.work import sigterm

path = Path(sys.argv[1])
path.touch()
file = os.open(path, os.O_RDWR)

def end():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
"""


def run(program: str, path: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def path(tmp_path: object) -> str:
    """Return where the note is to be."""
    return f"{tmp_path}/note"


def noted(path: str) -> bool:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a string will do
        return "most recent call first" in file.read()


def test_it_is_noted_and_the_process_ends_as_ever(path: str) -> None:
    """The note is in the file, nothing is printed, and the exit status is that of the signal."""
    done = run("sigterm.listen(); sigterm.note_in(file); end()", path)

    assert (done.returncode, done.stdout, done.stderr) == (-15, "", "")
    assert noted(path)


@pytest.mark.parametrize(
    "program",
    [
        "sigterm.note_in(file); end()",
        "sigterm.listen(); sigterm.note_in(file); sigterm.leave(file); end()",
        "sigterm.listen(); sigterm.note_in(file); os.kill(os.getpid(), signal.SIGKILL)",
        "sigterm.listen(); sigterm.note_in(file); os.fork() and sys.exit(os.wait()); end()",
    ],
    ids=["nobody listens", "left again", "another signal", "a child's"],
)
def test_what_is_not_noted(path: str, program: str) -> None:
    """Only SIGTERM of this process is, while it leads."""
    run(program, path)

    assert not noted(path)


def test_a_handler_of_the_hosts_is_left_alone(path: str) -> None:
    """Who handles the signal in Python has a way to end, and is asked to do nothing else."""
    done = run(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "sigterm.listen(); sigterm.note_in(file); end()",
        path,
    )

    assert done.returncode == 3
    assert not noted(path)


def test_a_process_that_lives_on_knows_of_it(path: str) -> None:
    """The first process of a container is not ended by it: until it is killed, it can write that down."""
    done = run(
        "class Handler: __module__ = 'uvicorn.server'\n"
        "handler = Handler()\n"
        "Handler.__call__ = lambda self, *_: None\n"
        "signal.signal(signal.SIGTERM, handler)\n"
        "sigterm.listen(); before = sigterm.has_come()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print(before, sigterm.has_come())",
        path,
    )

    assert done.stdout == "False True\n", done.stderr


def test_the_first_file_counts(path: str) -> None:
    """To leave one file for another would drop the locks that the process has on the first."""
    run(
        "other = os.open(str(path) + '2', os.O_RDWR | os.O_CREAT)\n"
        "sigterm.listen(); sigterm.note_in(file); sigterm.note_in(other); sigterm.leave(other); end()",
        path,
    )

    assert noted(path)
    assert not noted(path + "2")

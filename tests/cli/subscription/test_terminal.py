from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import NEEDS_SDK

from .support import CREATE, World, environment, write_host

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = NEEDS_SDK


class Terminal:
    """``flask okta-hooks apply`` at a terminal, up to its question."""

    def __init__(self, folder: Path, world: World, *arguments: str) -> None:
        write_host(folder)
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "host", "okta-hooks", "apply", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**environment(world.org.url), "FLASK_OKTA_HOOKS_URL": world.url},
        )
        os.close(slave)
        self.shown = ""
        while "[y/N]: " not in self.shown:
            self.shown += os.read(self.master, 4096).decode()

    def answer(self, text: str) -> int:
        """Answer the question, and return the status that the command ends with."""
        os.write(self.master, text.encode())
        try:
            while chunk := os.read(self.master, 4096):
                self.shown += chunk.decode()
        except OSError:  # how Linux says that nobody holds the other end any more
            pass
        os.close(self.master)
        return self.process.wait()


def test_a_person_is_asked(world: World, tmp_path: Path) -> None:
    """At a terminal there are colours and a question, and only yes does anything."""
    refused = Terminal(tmp_path, world, "--url", world.url)
    assert f"    \x1b[32m+\x1b[0m {CREATE}" in refused.shown
    assert refused.answer("n\n") == 1
    assert world.org.hooks() == []

    agreed = Terminal(tmp_path, world, "--url", world.url)
    assert agreed.answer("y\n") == 0
    assert world.org.hooks()[0]["verificationStatus"] == "VERIFIED"
    assert "\x1b" not in world.run("plan").output


def test_the_hook_changes_while_a_person_is_asked(world: World, tmp_path: Path) -> None:
    """What was agreed to is not what would be done, so it is not done."""
    hook_id = world.create(CREATE)
    terminal = Terminal(tmp_path, world)
    world.org.deactivate_hook(hook_id)

    assert terminal.answer("y\n") == 1
    assert "The hook has been changed at Okta meanwhile: plan again." in terminal.shown
    assert world.org.hook(hook_id)["events"]["items"] == [CREATE]


def test_nobody_is_there_to_ask(world: World) -> None:
    """A script has to say --yes."""
    assert world.fail("apply", "--url", world.url) == (
        "Error: There is no terminal to ask at: say --yes."
    )
    result = world.run("apply", "--url", world.url, "--json", status=1)
    assert result.stdout == ""
    assert world.org.hooks() == []

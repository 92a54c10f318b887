"""An app with the code of the page on task queues, run in processes of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = ROOT / "docs" / "how-to" / "queues.md"


class Recipe(NamedTuple):
    """What a section of the page says: files by their paths, which are in the first line of each, and a command."""

    files: dict[str, str]
    command: list[str]


def recipe(heading: str) -> Recipe:
    """Return the recipe under a heading of the page."""
    section = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)",
        PAGE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert section
    files = re.findall(r"^```py\n# (\S+)\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    assert files
    command = re.search(r"^```sh\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    return Recipe(dict(files), command[1].split() if command else [])


class Site:
    """A folder with a host's package, and the environment that its processes have."""

    def __init__(self, folder: Path, texts: dict[str, str], environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.add(texts)

    def add(self, texts: dict[str, str]) -> None:
        """Write files, by their paths."""
        for name, text in texts.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    @contextmanager
    def running(self, command: Sequence[str]) -> Iterator[None]:
        """Run a program of the environment that the tests run in, and see that it ends in order when it is told to."""
        program = str(Path(sys.executable).with_name(command[0]))
        # Not a pipe: nobody reads it before the end.
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [program, *command[1:]],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield
                process.terminate()
                assert process.wait(PATIENCE) == 0
            except BaseException:
                log.seek(0)
                print(log.read().decode(errors="replace"))  # noqa: T201 - pytest shows it with the failure
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def run(self, *command: str) -> str:
        """Run a program of that environment until it ends, and return what it has written to the standard output."""
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=4 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

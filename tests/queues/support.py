"""An app with the code of the page on task queues, run in processes of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = ROOT / "docs" / "how-to" / "queues.md"


def files(heading: str) -> dict[str, str]:
    """Return the files of a section of the page by their paths, which are in the first line of each."""
    section = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)",
        PAGE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert section
    blocks = re.findall(r"^```py\n# (\S+)\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    assert blocks
    return dict(blocks)


class Site:
    """A folder with a host's package, and the environment that its processes have.

    :param package: The text of its ``__init__.py``.
    """

    def __init__(self, folder: Path, package: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.add({"myapp/__init__.py": package})

    def add(self, texts: dict[str, str]) -> None:
        """Write files of the page."""
        for name, text in texts.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    @contextmanager
    def running(self, *command: str, stop: int = signal.SIGTERM) -> Iterator[Any]:
        """Run a program of the environment that the tests run in, and see that it ends in order when it is told to.

        :param command: Its name and its arguments.
        :param stop: The signal that tells it to end.
        """
        program = str(Path(sys.executable).with_name(command[0]))
        # Not a pipe: nobody reads it before the end.
        with (self.folder / f"{command[-1]}.log").open("ab+") as log:
            process = subprocess.Popen(
                [program, *command[1:]],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
                process.send_signal(stop)
                assert process.wait(PATIENCE) == 0, self.logged(log)
            except BaseException:
                print(self.logged(log))  # noqa: T201 - pytest shows it with the failure
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    @staticmethod
    def logged(log: Any) -> str:
        """Return what a program has written."""
        log.seek(0)
        text: str = log.read().decode(errors="replace")
        return text

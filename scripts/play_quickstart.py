"""Do what the quickstart says, with the okta_hooks that is installed, and check what it promises.

python scripts/play_quickstart.py docs/quickstart.md

The page's app is served by ``flask run`` in a process of its own, and gets the page's requests.
Nothing but the standard library and what the page installs is needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
_ADDRESS = "http://127.0.0.1:5000"
_RECEIVED = "Revoking the access of ada@example.com"


class Answer(NamedTuple):
    """What the app answered."""

    status: int
    body: str


def blocks(page: str, language: str) -> list[str]:
    """Return the page's visible blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def ask(curl: str, address: str, *, secret: str | None = None) -> Answer:
    """Send what a call of curl on the page sends.

    :param secret: Another secret than the page's.
    """
    # A shell joins lines that end with a backslash; shlex does not.
    words = iter(shlex.split(curl.replace("\\\n", " "))[1:])
    url, headers, data = "", {}, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value if secret is None or name != "Authorization" else secret
        elif word == "-d":
            data = next(words).encode()
        elif word != "-i":
            url = word.replace(_ADDRESS, address)
    try:
        with urlopen(Request(url, data, headers), timeout=PATIENCE) as response:  # noqa: S310 - the page's http URL
            return Answer(response.status, response.read().decode())
    except HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.read().decode())


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def served(folder: Path, environment: dict[str, str], log: Path) -> Iterator[str]:
    """Serve the app in a folder, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)  # noqa: S603 - ours
    try:
        give_up_at = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if server.poll() is not None or time.monotonic() > give_up_at:
                sys.exit(f"The app does not serve:\n{log.read_text()}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(PATIENCE)


def check(what: str, *, holds: bool, shown: object = "") -> None:
    """Print what was checked; end with an error if it does not hold."""
    if not holds:
        sys.exit(f"Not so: {what}\n{shown}")
    print(f"ok  {what}")


def main(page: str) -> None:
    """Play the page."""
    spec = importlib.util.find_spec("okta_hooks")
    where = spec.origin if spec else None
    check(
        "okta_hooks is installed here, and no clone is imported",
        holds=where is not None and Path(where).is_relative_to(sys.prefix),
        shown=where,
    )
    commands = blocks(page, "sh")
    curls = [block for block in commands if block.startswith("curl ")]
    exports = shlex.split(re.findall(r"^export (.*)$", "".join(commands), re.MULTILINE)[0])
    environment = dict(os.environ) | dict([exports[0].split("=", 1)])
    environment["PYTHONUNBUFFERED"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        (folder / "app.py").write_text(blocks(page, "python")[0], encoding="utf-8")
        with served(folder, environment, log) as address:
            try:
                challenged = ask(curls[0], address)
                delivered = ask(curls[1], address)
                repeated = ask(curls[1], address)
                guessed = ask(curls[1], address, secret="guess")  # noqa: S106 - a wrong one
            except URLError as error:
                sys.exit(f"{error}\n{log.read_text()}")
            answered = blocks(page, "json")[0].split() == challenged.body.split()
            check("the verification is answered", holds=answered, shown=challenged)
            check("the delivery is stored: 204", holds=delivered.status == 204, shown=delivered)  # noqa: PLR2004 - HTTP's
            check("again: 204", holds=repeated.status == 204, shown=repeated)  # noqa: PLR2004 - HTTP's
            check("another secret: 401", holds=guessed.status == 401, shown=guessed)  # noqa: PLR2004 - HTTP's
            give_up_at = time.monotonic() + PATIENCE
            while _RECEIVED not in log.read_text() and time.monotonic() < give_up_at:
                time.sleep(0.05)
        # After the server has ended, so that a second run of the receiver would show.
        runs = log.read_text().count(_RECEIVED)
        check("the receiver has run, once", holds=runs == 1, shown=log.read_text())
        command = [sys.executable, "-m", "flask", "--app", "app", "okta-hooks", "events", "list"]
        listed = subprocess.run(  # noqa: S603 - ours
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        is_done = re.search(r"^my-first-event .* done ", listed.stdout, re.MULTILINE) is not None
        check("the event is done", holds=is_done, shown=listed.stdout + listed.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"))

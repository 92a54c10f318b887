"""What ``make demo`` runs: the example app in a server, and Okta's part played over real HTTP.

Exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import FileIO

APP = Path(__file__).with_name("offboarding")
FLASK = [sys.executable, "-m", "flask", "--app", str(APP)]
SECRET = "^correct & horse$"  # noqa: S105 - of a demonstration
CHALLENGE = "Hf3xLcR_2pQn7TzW0bVyKdJ9sMgE5uA8iNoC1qXv"
OKTAS = {"Accept": "application/json", "Content-Type": "application/json"}
URL = re.compile(rb"http://127\.0\.0\.1:(\d+)")
LINE = re.compile(r"[A-Z]+:(offboarding|okta_hooks)[\w.]*:(.*)")


class Desk:
    """The app in its server, as far as it can be seen from outside."""

    def __init__(self, port: int, log: FileIO) -> None:
        self.port = port
        self._log = log
        self.is_as_it_should_be = True

    def ask(
        self,
        title: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        status: HTTPStatus,
        does: tuple[str, ...] = (),
    ) -> bytes:
        """Send what Okta would, show it and what comes of it; return the body of the answer.

        :param status: What the answer should be.
        :param does: What the receivers should write to the log.
        """
        method = "GET" if body is None else "POST"
        print(f"\n{title}\n  > {method} /okta/events")
        for name, value in headers.items():
            print(f"  > {name}: {value}")
        for event in json.loads(body)["data"]["events"] if body else []:
            print(f"  > event {event.get('uuid')}: {event.get('eventType')}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, "/okta/events", body, {**OKTAS, **headers})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        print(f"  < {answer.status} {answer.reason}  {text.decode()}".rstrip())

        # Receivers run inside the request, so whatever they wrote has been written by now.
        lines = LINE.findall((self._log.read() or b"").decode())
        for logger, message in lines:
            print(f"    {'receivers' if logger == 'offboarding' else logger}: {message}")
        self.check("the status", answer.status, status.value)
        self.check("the log", tuple(m for logger, m in lines if logger == "offboarding"), does)
        return text

    def check(self, what: str, found: object, wanted: object) -> None:
        """Say so if something is not what it should be."""
        if found != wanted:
            self.is_as_it_should_be = False
            print(f"  ! {what} should be {wanted!r}, and is {found!r}")


@contextmanager
def served() -> Iterator[Desk]:
    """Serve the app on a free port until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "FLASK_OKTA_HOOKS_SECRET": SECRET,
            "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/offboarding.sqlite3",
        }
        subprocess.run([*FLASK, "sample-data"], env=environment, check=True)  # noqa: S603
        server = subprocess.Popen(  # noqa: S603
            [*FLASK, "run", "--no-reload", "--port", "0"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        log = cast("FileIO", server.stderr)
        try:
            said = b""
            while not (url := URL.search(said)):
                line = log.readline()
                if not line:
                    sys.exit(f"The server did not start:\n{said.decode()}")
                said += line
            os.set_blocking(log.fileno(), False)
            yield Desk(int(url[1]), log)
        finally:
            server.terminate()
            server.wait()
            log.close()


def event(uuid: str, event_type: str, user: str) -> dict[str, Any]:
    """Return an event about a user, much shortened."""
    return {
        "uuid": uuid,
        "published": "2026-05-04T03:02:01.000Z",
        "eventType": event_type,
        "target": [{"id": user, "type": "User", "alternateId": f"{user[4:]}@example.com"}],
    }


def delivery(event_id: str, *events: dict[str, Any]) -> bytes:
    """Return the body of a delivery, minified as Okta's are."""
    envelope = {
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": "https://example.okta.com/api/v1/eventHooks/who1demo",
        "eventId": event_id,
        "data": {"events": events},
        "eventTime": "2026-05-04T03:02:09.000Z",
        "contentType": "application/json",
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def main() -> int:
    """Play Okta's part; return the exit status."""
    right = {"Authorization": SECRET}
    leavers = delivery(
        "delivery-1",
        event("e1", "user.lifecycle.deactivate", "00u1ada"),
        event("e2", "user.lifecycle.suspend", "00u1bob"),
        event("e3", "user.session.start", "00u1eve"),
    )
    odd = delivery(
        "delivery-2",
        {"uuid": "e4"},
        {"uuid": "e5", "eventType": "user.lifecycle.deactivate", "actor": None, "target": None},
    )
    with served() as desk:
        print(f"The app in {APP.name}/ answers at http://127.0.0.1:{desk.port}/okta/events.")
        answer = desk.ask(
            "Okta verifies the hook.",
            right | {"X-Okta-Verification-Challenge": CHALLENGE},
            status=HTTPStatus.OK,
        )
        desk.check("the answer", json.loads(answer), {"verification": CHALLENGE})
        desk.ask(
            "A stranger, or a typo in the secret.",
            {"Authorization": "correct horse"},
            leavers,
            status=HTTPStatus.UNAUTHORIZED,
        )
        desk.ask(
            "Okta delivers three events at once.",
            right,
            leavers,
            status=HTTPStatus.NO_CONTENT,
            does=(
                "revoked the tokens of 00u1ada: laptop, phone",
                "took the tickets of 00u1ada: Printer on fire",
                "wrote down <LogEvent 'user.lifecycle.deactivate' 'e1'>",
                "revoked the tokens of 00u1bob: laptop",
                "wrote down <LogEvent 'user.lifecycle.suspend' 'e2'>",
            ),
        )
        desk.ask(
            "Okta delivers them again, as it may.",
            right,
            leavers,
            status=HTTPStatus.NO_CONTENT,
            does=(
                "revoked the tokens of 00u1ada: none left",
                "took the tickets of 00u1ada: none left",
                "knew already <LogEvent 'user.lifecycle.deactivate' 'e1'>",
                "revoked the tokens of 00u1bob: none left",
                "knew already <LogEvent 'user.lifecycle.suspend' 'e2'>",
            ),
        )
        desk.ask(
            "An event without a type, and a preview from the Admin Console.",
            right,
            odd,
            status=HTTPStatus.NO_CONTENT,
            does=("wrote down <LogEvent 'user.lifecycle.deactivate' 'e5'>",),
        )
    print("\nAll as it should be." if desk.is_as_it_should_be else "\nNot as it should be: see !")
    return 0 if desk.is_as_it_should_be else 1


if __name__ == "__main__":
    sys.exit(main())

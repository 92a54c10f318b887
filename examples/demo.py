"""What ``make demo`` runs: a day at a small company whose app is killed at noon.

A simulated Okta org and the app in ``demo_app.py``, served by gunicorn, talk over real HTTP.
The claim: every receiver sees every event whose delivery the app has acknowledged, ``kill -9`` or not.
Exits with 1 if one has not.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from okta_hooks.simulator import Org, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SECRET = "correct horse battery staple"  # noqa: S105 - of a demonstration
#: What each receiver is to see. The app says it, too; a check should not ask whom it checks.
RECEIVERS: Mapping[str, tuple[str, ...]] = {
    "welcome": ("user.lifecycle.create",),
    "directory": ("group.user_membership.*",),
    "watch": ("user.session.start", "user.account.lock"),
    "offboard": ("user.lifecycle.deactivate",),
    "audit": ("*",),
}
STAFF = (
    *("ada", "alan", "anita", "barbara", "dennis", "donald", "dorothy", "edsger", "frances"),
    *("grace", "guido", "hedy", "jean", "joan", "john", "karen", "katherine", "ken", "leslie"),
    *("linus", "margaret", "mary", "niklaus", "radia", "rosalind", "shafi", "sophie", "vint"),
)
JOINERS = ("annie", "bjarne", "evelyn", "frederick", "hamilton", "lynn", "maurice", "robin")
#: How long the app may take to start, on a machine that is busy with other things.
START_SECONDS = 60.0
#: How long it may take to stop when it is asked to.
STOP_SECONDS = 10.0
#: How often the view is brought up to date.
VIEW_SECONDS = 0.1

# Nothing between this machine and itself needs a proxy.
http = build_opener(ProxyHandler({}))


class Event(NamedTuple):
    """An event that the org is to record."""

    type: str
    target: list[str]


class Hour(NamedTuple):
    """What happens in one hour, and how to tell of it."""

    title: str
    events: list[Event]


class Tally(NamedTuple):
    """How one receiver has done: of which events it was promised, what it has seen."""

    receiver: str
    acknowledged: frozenset[str]
    seen: Counter[str]

    @property
    def missing(self) -> frozenset[str]:
        """What was acknowledged, and not seen."""
        return self.acknowledged - self.seen.keys()

    @property
    def again(self) -> int:
        """How often an event was seen once more."""
        return self.seen.total() - len(self.seen)


class Failed(Exception):
    """The demo cannot show what it is to show."""


def plan_day(rng: random.Random) -> tuple[list[Hour], list[Hour], list[Hour]]:
    """Return what happens before the app is killed, while it is dead, and after it is back."""
    everybody = [f"{name}@example.com" for name in (*STAFF, *JOINERS)]
    movers = [f"{name}@example.com" for name in rng.sample(STAFF, 20)]
    leavers = movers[:10]

    def about(people: Iterable[str], *types: str, **also: str) -> list[Event]:
        rest = [f"{kind}:{name}" for kind, name in also.items()]
        return [Event(each, [f"user:{who}", *rest]) for who in people for each in types]

    join, leave = "group.user_membership.add", "group.user_membership.remove"
    new = everybody[len(STAFF) :]
    others = [who for who in everybody if who not in leavers]
    created = about(new, "user.lifecycle.create", "user.lifecycle.activate")
    locked_out = rng.sample(everybody, 8)
    morning = [
        Hour("08:00  Eight people join.", created + about(new, join, group="Engineering")),
        Hour("09:00  Everybody signs in.", about(everybody, "user.session.start")),
        Hour("11:00  Twenty people change groups.", about(movers, leave, join, group="Finance")),
    ]
    noon = [
        Hour("12:00  Some are locked out.", about(locked_out, "user.account.lock")),
        Hour("12:15  They are let in again.", about(locked_out, "user.account.unlock")),
        Hour("12:30  Everybody reads.", about(everybody, "user.authentication.sso", app="Wiki")),
    ]
    afternoon = [
        Hour("13:00  Everybody signs in again.", about(everybody, "user.session.start")),
        Hour("15:00  Ten people leave.", about(leavers, leave, group="Finance")),
        Hour("16:00  Their accounts are closed.", about(leavers, "user.lifecycle.deactivate")),
        Hour("17:00  The others go home.", about(others, "user.session.end")),
    ]
    return morning, noon, afternoon


def tally(deliveries: Iterable[Mapping[str, Any]], journal: Iterable[str]) -> list[Tally]:
    """Compare what the app has acknowledged with what its receivers have written down.

    :param deliveries: As ``GET /simulator/deliveries`` has them.
    :param journal: Lines of a receiver's name and an event's uuid.
    """
    acknowledged = {
        event["uuid"]: event["eventType"]
        for delivery in deliveries
        if is_acknowledged(delivery)
        for event in delivery["events"]
    }
    seen: dict[str, Counter[str]] = {receiver: Counter() for receiver in RECEIVERS}
    for line in journal:
        receiver, uuid = line.split()
        seen[receiver][uuid] += 1
    return [
        Tally(
            receiver,
            frozenset(
                uuid
                for uuid, event_type in acknowledged.items()
                if any(fnmatchcase(event_type, pattern) for pattern in patterns)
            ),
            seen[receiver],
        )
        for receiver, patterns in RECEIVERS.items()
    ]


def is_acknowledged(delivery: Mapping[str, Any]) -> bool:
    """Return whether the last attempt to deliver was answered with 2xx."""
    attempts = delivery["attempts"]
    return bool(attempts) and (attempts[-1]["status"] or 0) // 100 == HTTPStatus.OK // 100


def is_under_way(deliveries: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether there is anything that Okta is still to deliver."""
    return any(delivery["state"] in {"pending", "sending"} for delivery in deliveries)


class Okta:
    """The org as it can be reached over HTTP: the management API, and the simulator's own paths."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"SSWS {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what the org answers.

        :raises Failed: if it refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, self._headers, method=method)  # noqa: S310 - http:
        try:
            with http.open(request) as answer:
                return json.load(answer)
        except HTTPError as refusal:
            raise Failed(f"Okta refused {method} {path}: {refusal.read().decode()}") from refusal

    def register(self, url: str, event_types: Iterable[str]) -> None:
        """Create a hook, and have it verified."""
        auth = {"type": "HEADER", "key": "Authorization", "value": SECRET}
        hook = {
            "name": "Demo",
            "events": {"type": "EVENT_TYPE", "items": sorted(event_types)},
            "channel": {
                "type": "HTTP",
                "version": "1.0.0",
                "config": {"uri": url, "authScheme": auth},
            },
        }
        created = self.call("POST", "/api/v1/eventHooks", hook)
        self.call("POST", f"/api/v1/eventHooks/{created['id']}/lifecycle/verify")

    def emit(self, event: Event) -> None:
        """Let something happen."""
        self.call("POST", "/simulator/events", event._asdict())

    def deliveries(self) -> list[dict[str, Any]]:
        """Return all deliveries, and what became of them."""
        deliveries: list[dict[str, Any]] = self.call("GET", "/simulator/deliveries")
        return deliveries


class App:
    """The app in its server, which can be killed, and started again at the same address.

    :param folder: Where it keeps its inbox, its journal and its log.
    :param name: What gunicorn calls it.
    :param environment: Variables that it gets besides.
    """

    def __init__(
        self, folder: Path, port: int, name: str = "demo_app:create_app()", **environment: str
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._journal = folder / "journal"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [
            *(sys.executable, "-m", "gunicorn", "--chdir", str(Path(__file__).parent)),
            *("--bind", f"127.0.0.1:{port}", "--reuse-port", "--threads=4"),
            name,
        ]
        self.environment = os.environ | {
            "FLASK_OKTA_HOOKS_SECRET": SECRET,
            "FLASK_OKTA_HOOKS_INBOX": f"sqlite:///{folder / 'okta_hooks.sqlite3'}",
            "FLASK_JOURNAL": str(self._journal),
            # Newer gunicorns put a socket below one of these.
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            **environment,
        }

    def start(self) -> None:
        """Start the server, and wait until it answers.

        :raises Failed: if it does not.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                self._command,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with suppress(HTTPError):  # an app that has no such page says so
                    http.open(self.url, timeout=START_SECONDS).close()
            except OSError:
                time.sleep(VIEW_SECONDS)
            else:
                return
        raise self._failed("The app did not start")

    def check(self) -> None:
        """Look whether the server runs.

        :raises Failed: if it does not any more.
        """
        if self._process is None or self._process.poll() is not None:
            raise self._failed("The app has ended")

    def _failed(self, what: str) -> Failed:
        return Failed(f"{what}:\n{self._log.read_text(encoding='utf-8')}")

    def stop(self) -> None:
        """Let the server finish what it has in hand, and end; kill it if it takes long."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Do as ``kill -9`` does, to the server and all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def journal(self) -> list[str]:
        """Return what the receivers have written down."""
        if not self._journal.exists():
            return []
        return self._journal.read_text(encoding="utf-8").splitlines()


@contextmanager
def reserved_port(port: int = 0) -> Iterator[int]:
    """Keep a port for the app: nobody else gets it while the app is dead.

    :param port: Which; 0 takes any that is free.
    """
    with socket.socket() as reserving:
        reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserving.bind(("127.0.0.1", port))
        yield reserving.getsockname()[1]


class Demo:
    """The day, as it is played and shown.

    :param rate: Events a second.
    :param patience: How many seconds the receivers may do nothing before what is missing is given up.
    """

    def __init__(
        self, okta: Okta, app: App, progress: Progress, *, rate: float, patience: float
    ) -> None:
        self._okta = okta
        self._app = app
        self._progress = progress
        self._rate = rate
        self._patience = patience
        self._bars = {
            name: progress.add_task(name, total=None) for name in ("happened", *RECEIVERS)
        }
        self._shown_at = 0.0

    def run(self) -> list[Tally]:
        """Play the day, and return what became of it once there is no more to wait for."""
        morning, noon, afternoon = plan_day(random.Random(4))  # noqa: S311 - nothing is a secret
        day = [event for hour in morning + noon + afternoon for event in hour.events]
        self._progress.update(self._bars["happened"], total=len(day), completed=0)

        self._app.start()
        self._say(f"The app listens at {self._app.url}, the Okta org at {self._okta.url}.")
        self._okta.register(f"{self._app.url}/okta/events", {event.type for event in day})
        self._say("Its hook is registered and verified.")
        self._play(morning)
        self._await_acknowledgement()
        waiting = frozenset().union(*(each.missing for each in self._look()))
        self._app.kill()
        self._say(f"12:00  kill -9. {len(waiting)} acknowledged events have receivers yet to run.")
        self._play(noon)
        self._app.start()
        self._say("13:00  The app is started again.")
        self._play(afternoon)
        self._say("18:00  The receivers finish.")
        return self._finish()

    def _say(self, text: str) -> None:
        self._progress.console.print(text, soft_wrap=True, highlight=False)

    def _play(self, hours: Iterable[Hour]) -> None:
        for hour in hours:
            self._say(hour.title)
            for event in hour.events:
                self._okta.emit(event)
                self._progress.advance(self._bars["happened"])
                if time.monotonic() > self._shown_at + VIEW_SECONDS:
                    self._look()
                time.sleep(1 / self._rate)

    def _look(self) -> list[Tally]:
        """Bring the view up to date."""
        tallies = tally(self._okta.deliveries(), self._app.journal())
        for each in tallies:
            if total := len(each.acknowledged):
                done = total - len(each.missing)
                self._progress.update(self._bars[each.receiver], total=total, completed=done)
        self._shown_at = time.monotonic()
        return tallies

    def _await_acknowledgement(self) -> None:
        """Wait until the app has promised something, if it ever does: a slow machine takes a while."""
        while is_under_way(deliveries := self._okta.deliveries()):
            if any(is_acknowledged(each) for each in deliveries):
                return
            time.sleep(VIEW_SECONDS)

    def _finish(self) -> list[Tally]:
        """Wait until Okta has nothing to deliver, and the receivers nothing to do."""
        while is_under_way(self._okta.deliveries()):
            self._look()
            time.sleep(VIEW_SECONDS)
        seen, changed_at = 0, time.monotonic()
        while True:
            tallies = self._look()
            if seen != (seen := sum(each.seen.total() for each in tallies)):
                changed_at = time.monotonic()
            is_idle = time.monotonic() > changed_at + self._patience
            if is_idle or not any(each.missing for each in tallies):
                return tallies
            time.sleep(VIEW_SECONDS)


def summary(tallies: Iterable[Tally]) -> Table:
    """Return the table at the end."""
    table = Table("receiver", box=SIMPLE_HEAD)
    for column in ("acknowledged", "seen", "seen again", "missing"):
        table.add_column(column, justify="right")
    for each in tallies:
        promised = len(each.acknowledged)
        missing = len(each.missing)
        table.add_row(
            each.receiver,
            *(str(number) for number in (promised, promised - missing, each.again, missing)),
            style="red" if missing else None,
        )
    return table


def judge(deliveries: Iterable[Mapping[str, Any]], tallies: Iterable[Tally]) -> tuple[bool, str]:
    """Return whether the claim has been shown, and what to say of it."""
    numbers = Counter[bool]()
    for delivery in deliveries:
        numbers[is_acknowledged(delivery)] += len(delivery["events"])
    said = (
        f"{numbers.total()} events happened. {numbers[True]} were acknowledged; "
        f"{numbers[False]} were not, and Okta has them in its System Log.\n"
    )
    if not numbers[True]:
        return False, said + "Nothing was acknowledged, so nothing is shown."
    if any(each.missing for each in tallies):
        return False, said + "Some of what was acknowledged is missing."
    return True, said + "Every receiver saw everything that was acknowledged."


def rate(text: str) -> float:
    """Read the option of that name."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=rate, default=50, help="events a second (%(default)s)")
    parser.add_argument(
        "--patience",
        type=float,
        default=20,
        help="seconds to wait for idle receivers (%(default)s)",
    )
    given = parser.parse_args()
    # The org warns of every delivery that fails, which is what the demo counts.
    logging.getLogger("okta_hooks.simulator").addHandler(logging.NullHandler())
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn())
    org = Org(seed=4, http_hooks=True, batch_seconds=0.1)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        app = App(Path(folder), stack.enter_context(reserved_port()))
        stack.enter_context(Simulator(org))
        stack.callback(app.kill)
        progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        okta = Okta(org.url, org.token)
        try:
            with progress:
                demo = Demo(okta, app, progress, rate=given.rate, patience=given.patience)
                tallies = demo.run()
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
        is_shown, verdict = judge(okta.deliveries(), tallies)
    console.print(summary(tallies))
    console.print(verdict, soft_wrap=True, highlight=False, style="green" if is_shown else "red")
    if is_shown:
        console.print("To click on such an org yourself: make play", highlight=False)
    return 0 if is_shown else 1


if __name__ == "__main__":
    # Whoever ends the demo ends the app as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

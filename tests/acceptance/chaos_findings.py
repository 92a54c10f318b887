"""What the receivers wrote down in the chaos, and what is to be said of it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from okta_hooks.work.lane import MOST_IN_HAND

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RECEIVERS: Final = ("audit", "crm")


@dataclass(slots=True)
class Run:
    """A receiver that was called with an event; times are in nanoseconds, of the system's clock."""

    receiver: str
    uuid: str
    attempt: int
    pid: int
    began: int
    ended: int | None = None


@dataclass
class Findings:
    """What the receivers wrote down, held against what was acknowledged."""

    handled: int = 0
    lost: set[str] = field(default_factory=set)
    run_twice: int = 0
    wrong: list[str] = field(default_factory=list)


def read_runs(path: Path) -> list[Run]:
    found: list[Run] = []
    open_runs: dict[tuple[str, str, str], Run] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        what, receiver, uuid, attempt, pid, at = line.split()
        if what == "begin":
            run = Run(receiver, uuid, int(attempt), int(pid), int(at))
            open_runs[receiver, uuid, pid] = run
            found.append(run)
        else:
            open_runs.pop((receiver, uuid, pid)).ended = int(at)
    return found


def judge(
    runs: list[Run],
    acknowledged: set[str],
    deaths: dict[int, int],
    *,
    in_hand: set[tuple[int, str, str]] | None = None,
    suspended: Collection[int] = (),
) -> Findings:
    """Return what is to be said of all runs.

    :param deaths: When processes were killed, in nanoseconds of the system's clock.
    :param in_hand: What processes had claimed when they were killed or lost their lease, each a process, a receiver and
        an event's uuid; by default the last that each has begun, as many as a lane may have in hand.
    :param suspended: Processes that lost their lease while they were stopped, and went on after that.
    """
    findings = Findings()
    ended = {(run.receiver, run.uuid) for run in runs if run.ended is not None}
    findings.lost = {
        uuid for uuid in acknowledged if any((name, uuid) not in ended for name in RECEIVERS)
    }
    findings.handled = len(acknowledged) - len(findings.lost)
    lanes: dict[tuple[int, str], list[Run]] = defaultdict(list)
    receipts: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.began):
        lanes[run.pid, run.receiver].append(run)
        receipts[run.receiver, run.uuid].append(run)
    if in_hand is None:
        in_hand = {
            (run.pid, run.receiver, run.uuid)
            for (pid, _), lane in lanes.items()
            if pid in deaths
            for run in lane[-MOST_IN_HAND:]
        }
    for of_receipt in receipts.values():
        findings.run_twice += len(of_receipt) > 1
        for earlier, later in itertools.pairwise(of_receipt):
            # One that was stopped between its claim and its run comes last, where its lease was ended before its time.
            claimed_before = later if later.pid in suspended else earlier
            if not in_hand.intersection(
                (run.pid, run.receiver, run.uuid) for run in (earlier, claimed_before)
            ):
                findings.wrong.append(f"ran again, though no kill undid it: {earlier} {later}")
            if earlier.pid not in suspended and later.began < (
                earlier.ended or deaths.get(earlier.pid, later.began)
            ):
                findings.wrong.append(f"ran in two processes at once: {earlier} {later}")
    for run in runs:
        if run.ended is None and run.pid not in deaths:
            findings.wrong.append(f"did not end, though nothing killed it: {run}")
        if run.attempt != 1:
            findings.wrong.append(f"counted as an attempt what was a death: {run}")
    return findings

"""What the inbox tells: its database, its worker, what waits in it, and which secrets are in use."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.consistency import Kind
from okta_hooks.inbox.file_system import EPHEMERAL, file_system, is_shared

from .check import age, failure, listed, ok, ordinal, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.consistency import Inconsistency
    from okta_hooks.inbox.overview import Counts, ReceiverCounts
    from okta_hooks.inbox.pauses import Pause
    from okta_hooks.inbox.receipts import Failing

    from .check import Check

_FILE: Final = "inbox-file"
_LITTLE_SPACE: Final = 1024**3
_NO_SPACE: Final = 100 * 1024**2
#: A worker writes down every minute which receivers it has.
_ALIVE_SECONDS: Final = 180.0
_BACKLOG_SECONDS: Final = 300.0
_LONG_PAUSE: Final = 24 * 3600.0
_LONGEST_ERROR: Final = 160
#: How many secrets are live during a rotation, usually.
_OLD_AND_NEW: Final = 2
#: Okta calls a delay of up to an hour normal.
_SECONDS_IN_TRANSIT: Final = 3600.0


def location(path: Path) -> Iterator[Check]:
    """Look at the file of an SQLite inbox, without making one."""
    yield from durability(path, file_system(path))
    folder = next(parent for parent in path.parents if parent.exists())
    yield from space(path, shutil.disk_usage(folder).free)
    if path.exists():
        yield from access(path, path.stat(), os.geteuid())
    else:
        yield _not_there(path, folder)


def durability(path: Path, kind: str | None) -> Iterator[Check]:
    """Look at the kind of file system."""
    if kind in EPHEMERAL:
        yield warning(
            _FILE,
            f"{path} lies on a file system ({kind}) that may not survive a restart.",
            "Put it on a disk or a volume, and say so with an absolute path in OKTA_HOOKS_INBOX.",
        )
    elif is_shared(kind):
        yield failure(
            _FILE,
            f"{path} lies on a file system ({kind}) on which SQLite's locks may not work.",
            "Put it on a disk of this machine, or use PostgreSQL.",
        )


def space(path: Path, free: int) -> Iterator[Check]:
    """Look at how many bytes are free."""
    if free < _LITTLE_SPACE:
        make = failure if free < _NO_SPACE else warning
        yield make(
            _FILE,
            f"{free // 1024**2} MiB are free where {path} lies. When it is full, the answer is 503.",
            "Make room, or lower OKTA_HOOKS_RETENTION.",
        )


def _not_there(path: Path, folder: Path) -> Check:
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return failure(
            _FILE,
            f"{path} is not there, and this user may not make it.",
            f"Make the folder {path.parent} for the user that runs the app, "
            "or give OKTA_HOOKS_INBOX another path.",
        )
    return warning(
        _FILE,
        f"{path} is not there: the app's first request makes it.",
        "If the app has answered requests, its inbox is elsewhere: its log says where, at INFO. "
        "Give OKTA_HOOKS_INBOX an absolute path, the same for the app and for commands.",
    )


def access(path: Path, status: os.stat_result, me: int) -> Iterator[Check]:
    """Look at who owns the file, and who else may read it.

    :param me: The id of the user that asks.
    """
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        yield warning(
            _FILE,
            f"Others may read or write {path} (mode {mode:04o}), which holds personal data.",
            f"chmod 600 {path}*",
        )
    if status.st_uid != me:
        yield warning(
            _FILE,
            f"{path} belongs to another user ({status.st_uid}) than the one that asks ({me}).",
            "Run this as the user that runs the app: what is writable to one may not be to the other.",
        )
    if not mode & 0o077 and status.st_uid == me:
        yield ok(_FILE, f"{path} belongs to this user alone.")


def database(inbox: Inbox) -> Check:
    """Open the inbox, and try whether it can be written."""
    name = "inbox"
    try:
        inbox.open()
        inbox.upkeep.try_writing()
    except InboxUnavailable as error:
        return failure(
            name,
            f"It cannot be used: {error.reason}. Every delivery is answered with 503.",
            "Bring the database back, or correct OKTA_HOOKS_INBOX or what its user may do.",
        )
    kind = "The SQLite file" if inbox.path is not None else "PostgreSQL"
    return ok(name, f"{kind} can be opened and written.")


def worker(
    lanes: Sequence[ReceiverCounts],
    connected: Collection[str],
    now: float,
    *,
    is_external: bool,
) -> Iterator[Check]:
    """Look at when a worker last had the connected receivers.

    :param lanes: Of this hook, as :meth:`okta_hooks.inbox.overview.Overview.receivers` returns them.
    """
    name = "worker"
    if not connected:
        return
    seen = {lane.receiver: now - lane.seen_at for lane in lanes}
    mine = {receiver: seen[receiver] for receiver in connected if receiver in seen}
    start = (
        "Start it: flask okta-hooks worker."
        if is_external
        else "It starts with the app's first request, also one of a health check. Is the app up?"
    )
    if not mine:
        make = failure if is_external else warning
        yield make(name, "No worker has ever had the receivers of this app.", start)
        return
    latest = min(mine.values())
    if latest > _ALIVE_SECONDS:
        yield failure(name, f"It was last seen {age(latest)} ago: nobody runs receivers.", start)
        return
    absent = unseen(lanes, connected, now)
    if absent:
        yield warning(
            name,
            f"One is at work, but does not have {listed(absent)}: it runs other code than this.",
            "Restart what runs the receivers, after a deploy of all of it.",
        )
        return
    yield ok(name, f"It was seen {age(latest)} ago, with every receiver of this app.")


def unseen(lanes: Sequence[ReceiverCounts], connected: Collection[str], now: float) -> list[str]:
    """Return the connected receivers that no worker has noted as its own of late."""
    seen = {lane.receiver for lane in lanes if now - lane.seen_at <= _ALIVE_SECONDS}
    return sorted(set(connected) - seen)


def backlog(counts: Counts, failing: Sequence[Failing], now: float) -> Iterator[Check]:
    """Look at what waits, and who fails.

    :param failing: As :meth:`okta_hooks.inbox.receipts.Receipts.failing` returns it.
    """
    name = "backlog"
    waiting = counts.open
    oldest = counts.oldest_pending_seconds
    if oldest is None:
        yield ok(
            name,
            "Nothing waits, but for receivers that are paused." if waiting else "Nothing waits.",
        )
        return
    said = " ".join(
        (
            f"{_events(waiting)} open, the oldest for {age(oldest)}.",
            *(_failing(each, now) for each in failing),
        )
    )
    if oldest <= _BACKLOG_SECONDS:
        yield ok(name, said)
    else:
        yield warning(
            name,
            said,
            "flask okta-hooks receivers tells whose they are. "
            "Either no worker runs, or a receiver is slow or is being tried again. "
            "After a restart receivers go on with the app's first request, "
            "unless a worker process runs them.",
        )


def _failing(each: Failing, now: float) -> str:
    attempts = "1 attempt" if each.attempts == 1 else f"{each.attempts} attempts"
    due = f"in {age(each.due - now)}" if each.due > now else "now"
    error = each.error or "none is known"
    return (
        f"{each.receiver} has failed: {attempts}, the next {due}, "
        f"the last error: {error[:_LONGEST_ERROR].rstrip('.')}."
    )


def pauses(paused: Sequence[Pause], now: float) -> Iterator[Check]:
    """Look at which receivers are paused, and for how long.

    :param paused: Of this hook, as :meth:`okta_hooks.inbox.pauses.Pauses.paused` returns them.
    """
    name = "paused"
    for one in paused:
        why = f": {one.reason.rstrip('.')}" if one.reason else ""
        text = f"{one.receiver} is paused for {age(now - one.paused_at)}, by {one.who}{why}."
        if now - one.paused_at <= _LONG_PAUSE:
            yield ok(name, text)
        else:
            yield warning(
                name,
                text,
                f"Its events wait: flask okta-hooks resume {shlex.quote(one.receiver)}, "
                "unless it has to be so.",
            )


def dead_letters(counts: Counts) -> Iterator[Check]:
    """Look at what has been given up."""
    name = "dead-letters"
    if not counts.dead:
        yield ok(name, "There are none.")
        return
    yield warning(
        name,
        f"{_events(counts.dead)} given up.",
        "flask okta-hooks events list --state dead, and events show UUID for the reason; "
        "replay them when the cause is gone.",
    )


def consistency(found: Sequence[Inconsistency]) -> Iterator[Check]:
    """Look at what must not be in the inbox.

    :param found: As :meth:`okta_hooks.inbox.consistency.Consistency.check` returns it.
    """
    name = "consistency"
    if not found:
        yield ok(name, "Nothing is found that must not be there.")
    for item in found:
        yield warning(
            name,
            f"{item.number} times a {item.kind.description}, of the hook {item.hook}.",
            "If the hook was renamed, give it its old name: EventHook(name). "
            "Otherwise these events wait for ever."
            if item.kind is Kind.UNKNOWN_HOOK
            else "A worker puts it right within a minute or two. If it comes back, something else "
            "writes to these tables, or the clock is set to and fro.",
        )


def orphans(
    lanes: Sequence[ReceiverCounts], connected: Collection[str], now: float
) -> Iterator[Check]:
    """Look for receivers that have receipts to work on, and are not connected anywhere."""
    gone = {
        lane.receiver: lane.pending + lane.claimed
        for lane in lanes
        if lane.receiver not in connected and now - lane.seen_at > _ALIVE_SECONDS
    }
    for receiver, waiting in gone.items():
        if waiting:
            yield warning(
                "receivers",
                f"{receiver} is not connected any more, and {waiting} of its receipts wait. "
                "When workers have watched for 24 hours without it, they are dead letters.",
                f'If it was renamed: okta.on(..., name="{receiver}").',
            )


def rotation(used: Mapping[int, tuple[float, float]], live: int, now: float) -> Iterator[Check]:
    """Look at which of several secrets Okta sends, and say which can go.

    :param used: When each was first and last used since this list of them is live, by its position in the list.
    :param live: How many secrets there are.
    """
    name = "rotation"
    if live <= 1:
        return
    if not used:
        yield skipped(
            name, f"No delivery has come yet since these {live} secrets are live: keep them."
        )
        return
    said = ", ".join(
        f"the {ordinal(number)} was "
        + (f"last used {age(now - used[number][1])} ago" if number in used else "not used")
        for number in range(live)
    )
    said = f"Of {live} secrets, {said}."
    first, last = used.get(0, (now, 0.0))
    last_of_old = max((used[number][1] for number in used if number), default=0.0)
    is_settled = now - max(last_of_old, first) >= _SECONDS_IN_TRANSIT
    if not last or (is_settled and last_of_old > last):
        yield warning(
            name,
            f"{said} Okta still sends an old one.",
            "Put the first one out: flask okta-hooks apply --rotate, or in Okta's Admin Console.",
        )
    elif not is_settled:
        yield ok(name, f"{said} Keep all until Okta has sent only the first for an hour.")
    else:
        yield warning(
            name,
            f"{said} Okta sends the first: {'the second' if live == _OLD_AND_NEW else 'all others'} can go.",
            "Leave only the first in OKTA_HOOKS_SECRET, and restart the app.",
        )


def _events(number: int) -> str:
    return f"{number} event is" if number == 1 else f"{number} events are"

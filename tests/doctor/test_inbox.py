from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.doctor import storage
from okta_hooks.inbox.overview import Counts, ReceiverCounts
from okta_hooks.inbox.receipts import Failing
from tests.support import HOUR, NEEDS_PSYCOPG, claim, fan_out, settle

from .support import SECRET, examine, level, levels, only, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    AppFactory = Callable[..., Flask]


def test_a_good_inbox(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It can be written, a worker has been there just now, and little waits."""
    inbox.intake.store([delivery("a")])
    inbox.workers.see_receivers([("okta", "users")])

    found = examine(app, "--offline")

    for name in ("inbox", "worker", "backlog", "dead-letters"):
        assert level(found, name) == "ok"
    assert re.fullmatch(r"1 event is open, the oldest for \d s\.", found["backlog"][0]["text"])
    assert "rotation" not in found
    assert run(app, "doctor", "--offline").exit_code == 0


def test_nobody_works(app: Flask, inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """A worker that was there and is not, and what waits for it, are told with how long."""
    clock.now -= 2 * HOUR
    inbox.intake.store([delivery("a"), delivery("b")])
    inbox.workers.see_receivers([("okta", "users"), ("okta", "gone")])
    fan_out(inbox, "gone")

    found = examine(app, "--offline")

    assert level(found, "worker") == "failure"
    assert "last seen 2 h ago" in found["worker"][0]["text"]
    assert level(found, "backlog") == "warning"
    assert "gone is not connected any more, and 2 of its receipts" in found["receivers"][1]["text"]
    assert run(app, "doctor", "--offline").exit_code == 1


def test_the_backlog_names_who_fails(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """At most three receivers, each with its attempts, its next one, and the beginning of its last error."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "users", "b", "c", "d", "e")
    for receiver in ("users", "d", "c", "b"):
        error = "ConnectionError: no route" + " to it" * 100
        settle(inbox, claim(inbox, receiver), "pending", wait=2 * HOUR, error=error)

    text = examine(app, "--offline")["backlog"][0]["text"]

    assert text.startswith("1 event is open, the oldest for ")
    assert " s. b has failed: 1 attempt, the next in 2 h, " in text
    assert text.count("the next in 2 h, the last error: ConnectionError: no route to it") == 3
    assert "users" not in text
    assert len(text) < 1000


def test_the_cure_of_a_backlog() -> None:
    """After a restart somebody has to make a request: that is said where events wait for long."""
    counts = Counts(claimed=2, oldest_pending_seconds=HOUR)
    late = Failing(receiver="a", attempts=3, due=1.0, error=None)

    found = only(storage.backlog(counts, [late], now=2.0))

    assert found.level == "warning"
    assert "a has failed: 3 attempts, the next now, the last error: none is known." in found.text
    assert "go on with the app's first request" in str(found.cure)


def test_a_worker_is_yet_to_come() -> None:
    """An app that was never asked has had none; an external one has been forgotten."""
    never = only(storage.worker([], ["a"], 0.0, is_external=False))
    forgotten = only(storage.worker([], ["a"], 0.0, is_external=True))

    assert (never.level, forgotten.level) == ("warning", "failure")
    assert "flask okta-hooks worker" in str(forgotten.cure)
    assert list(storage.worker([], [], 0.0, is_external=True)) == []


def test_a_worker_of_other_code() -> None:
    """One that does not have all receivers of this app is at work on old code."""
    seen = [
        ReceiverCounts(hook="okta", receiver="a", seen_at=990.0),
        ReceiverCounts(hook="okta", receiver="b", seen_at=10.0),
    ]

    found = only(storage.worker(seen, ["a", "b", "c"], 1000.0, is_external=False))

    assert found.level == "warning"
    assert "does not have b, c" in found.text


def test_dead_letters(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """They are counted, with the way to see them."""
    inbox.intake.store([delivery("a", "b")])
    run(app, "worker", "--drain")

    found = examine(app, "--offline")

    assert found["dead-letters"][0]["text"] == "2 events are given up."
    assert level(found, "dead-letters") == "warning"
    assert "events list --state dead" in found["dead-letters"][0]["cure"]


def test_an_inbox_that_cannot_be_written(app: Flask, inbox: Inbox, engine: sa.Engine) -> None:
    """The database's own words are the reason; the checks that need it are left out, the others are not."""
    inbox.open()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery RENAME TO elsewhere"))

    found = examine(app, "--offline")

    assert level(found, "inbox") == "failure"
    assert "okta_hooks_delivery" in found["inbox"][0]["text"]
    assert "worker" not in found
    assert level(found, "host") == "ok"


@NEEDS_PSYCOPG
@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("", "Every delivery is answered with 503"),
        ("?colour=blue", "a parameter that PostgreSQL does not know: colour"),
    ],
)
def test_a_database_that_is_not_there(
    make_app: AppFactory, okta: EventHook, ending: str, said: str
) -> None:
    """Why, in words without the password."""
    url = f"postgresql://okta:s3cret@127.0.0.1:1/none{ending}"
    found = examine(make_app(okta, SECRET=SECRET, INBOX=url), "--offline")

    assert level(found, "inbox") == "failure"
    assert said in found["inbox"][0]["text"]
    assert "s3cret" not in str(found)


# Where the file lies


def test_the_kind_of_file_system() -> None:
    """What goes with a container is warned of, what is another machine's is a failure."""
    where = Path("/srv/inbox.sqlite3")
    assert (
        levels(storage.durability(where, "ext4")) == levels(storage.durability(where, None)) == []
    )
    assert levels(storage.durability(where, "overlay")) == ["warning"]
    assert levels(storage.durability(where, "nfs4")) == ["failure"]
    assert levels(storage.durability(where, "virtiofs")) == ["failure"]


def test_where_the_file_lies_is_asked(tmp_path: Path) -> None:
    """Memory is told from a disk, a full place from one with room, and a file has its mode."""
    in_memory = list(storage.location(Path("/dev/shm/okta-hooks-is-not-there.sqlite3")))
    assert "(tmpfs) that may not survive a restart" in in_memory[0].text

    assert any("0 MiB are free" in check.text for check in storage.location(Path("/proc/inbox")))

    open_to_all = tmp_path / "inbox.sqlite3"
    open_to_all.touch()
    open_to_all.chmod(0o644)
    assert "(mode 0644)" in list(storage.location(open_to_all))[-1].text


def test_little_space() -> None:
    """It is warned of, and is a failure before nothing is left."""
    where = Path("/srv/inbox.sqlite3")
    assert levels(storage.space(where, 5 * 1024**3)) == []
    assert levels(storage.space(where, 500 * 1024**2)) == ["warning"]
    assert levels(storage.space(where, 5 * 1024**2)) == ["failure"]


def test_whose_the_file_is(tmp_path: Path) -> None:
    """Other readers, and another owner, are warned of."""
    file = tmp_path / "inbox.sqlite3"
    file.touch(0o600)
    me = os.geteuid()
    assert levels(storage.access(file, file.stat(), me)) == ["ok"]
    another = only(storage.access(file, file.stat(), me + 1)).text
    assert f"another user ({me}) than the one that asks ({me + 1})" in another
    file.chmod(0o644)
    assert "(mode 0644)" in only(storage.access(file, file.stat(), me)).text


def test_a_file_that_cannot_be_made() -> None:
    """A folder that cannot be made is a failure before the first delivery is."""
    found = list(storage.location(Path("/dev/null/okta/inbox.sqlite3")))

    assert found[-1].level == "failure"
    assert "this user may not make it" in found[-1].text


def test_a_platform_that_freezes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads stand still between requests, that is told with the cure; elsewhere nothing is."""
    assert "platform" not in examine(app, "--offline")
    monkeypatch.setenv("K_SERVICE", "app")

    first, *_ = examine(app, "--offline")["platform"]

    assert (first["level"], "Cloud Run" in first["text"]) == ("warning", True)
    assert "/okta/tick" in first["cure"]


def test_a_receiver_that_is_paused(
    app: Flask, inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """What waits for it is no backlog; after a day somebody may have forgotten it."""
    clock.now -= 2 * HOUR
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "users")
    inbox.pauses.pause("okta", "users", who="ada", reason="API down.")
    inbox.pauses.pause("other", "users", who="ada")

    found = examine(app, "--offline")
    assert level(found, "backlog") == level(found, "paused") == "ok"
    assert found["backlog"][0]["text"] == "Nothing waits, but for receivers that are paused."
    assert found["paused"][0]["text"] == "users is paused for 2 h, by ada: API down."
    assert len(found["paused"]) == 1

    inbox.pauses.resume("okta", "users")
    clock.now -= 23 * HOUR
    inbox.pauses.pause("okta", "users", who="ada")
    found = examine(app, "--offline")
    assert level(found, "paused") == "warning"
    assert found["paused"][0]["text"] == "users is paused for 1 d, by ada."
    assert "flask okta-hooks resume users" in found["paused"][0]["cure"]

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import state_of
from okta_hooks.console import dead_letters
from okta_hooks.testing import make_event

from .support import ROOT, Page, deliver, get, post, work

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from .conftest import Directory

CREATED = "user.lifecycle.create"
CHOICE = {"hook": "okta", "receiver": "directory"}


@pytest.fixture
def dead(app: Flask, directory: Directory) -> None:
    """Let a receiver give up five events."""
    deliver(app, *(make_event(CREATED, seed=number) for number in range(5)))
    work(app)


def number_dead(app: Flask) -> int:
    """Return how many events are dead."""
    return state_of(app).runtime().inbox.overview.counts().dead


def finished(answer: Any) -> tuple[str, dict[str, str]]:
    """Return what a page says of a run, and what the form has that goes on with it."""
    assert answer.status_code == 200
    page = Page(answer.text)
    fields = {
        each["name"] or "": each.get("value") or ""
        for tag, each in page.elements
        if tag == "input" and each.get("name")
    }
    return page.text, fields


@pytest.mark.usefixtures("dead")
def test_groups(client: FlaskClient) -> None:
    """Dead letters with one error are one group, under its receiver, with their number."""
    page = Page(get(client, "/dead-letters"))

    assert "5 given up" in page.text
    assert len(page.links("group=")) == 1
    group = Page(client.get(page.links("group=")[0]).text)
    assert "5 dead with this error" in group.text
    assert len(group.values("id")) == 5


@pytest.mark.usefixtures("dead")
@pytest.mark.parametrize("path", ["/dead-letters", "/receivers/one?hook=okta&name=directory"])
def test_groups_of_more_than_are_looked_at(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Where only the newest are grouped, no group is said to have no more than these."""
    error = "no route to *** from ***"
    assert f"{error} 5 " in Page(get(client, path)).text

    monkeypatch.setattr("okta_hooks.inbox.dead_letters.MOST_GROUPED", 2)

    assert f"{error} 2+ " in Page(get(client, path)).text


@pytest.mark.usefixtures("dead")
def test_replaying_a_group(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """A preview says to how many it would be done and does nothing; then it is done, and the count has fallen."""
    page = Page(get(client, "/dead-letters"))
    choice = {**CHOICE, "group": page.values("group")[0], "action": "replay"}

    preview = post(client, "/dead-letters/preview", data=choice)

    assert "Replay 5 dead letters?" in Page(preview.text).text
    assert number_dead(app) == 5
    directory.is_cured = True
    text, fields = finished(post(client, "/dead-letters/run", data=choice | {"reason": "cured"}))
    assert "5 dead letters replayed" in text
    assert "That was all" in text
    assert "after" not in fields
    work(app)
    assert number_dead(app) == 0
    assert "None. Whatever was stored" in Page(get(client, "/dead-letters")).text
    (entry,) = state_of(app).runtime().inbox.audit.entries()
    assert (entry.action, entry.number, entry.reason, entry.who) == ("replay", 5, "cured", "Grace")


@pytest.mark.usefixtures("dead")
def test_what_dies_after_the_preview(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is pruned but what the preview has counted, be it in several batches."""
    monkeypatch.setattr(dead_letters, "BATCH", 2)
    preview = post(client, "/dead-letters/preview", data=CHOICE | {"action": "prune"})
    _, fields = finished(preview)
    deliver(app, *(make_event(CREATED, seed=number) for number in range(10, 13)))
    work(app)

    texts = []
    for _ in range(4):
        text, fields = finished(post(client, "/dead-letters/run", data=fields))
        texts.append(text)
        if "after" not in fields:
            break

    assert "5 dead letters pruned That was all" in texts[-1]
    assert number_dead(app) == 3


@pytest.mark.usefixtures("dead")
def test_pruning_a_selection(client: FlaskClient, app: Flask) -> None:
    """Only those that were chosen are pruned."""
    path = Page(get(client, "/dead-letters")).links("group=")[0]
    ids = Page(client.get(path).text).values("id")
    choice = {**CHOICE, "id": ids[:2], "action": "prune"}

    preview = Page(post(client, "/dead-letters/preview", data=choice).text)
    assert "Prune 2 dead letters?" in preview.text
    assert preview.values("id") == ids[:2]
    text, _ = finished(post(client, "/dead-letters/run", data=choice))

    assert "2 dead letters pruned" in text
    assert number_dead(app) == 3
    assert client.get(f"{ROOT}/events/{ids[0]}").status_code == 404


@pytest.mark.usefixtures("dead")
def test_a_form_that_is_sent_again(client: FlaskClient, app: Flask) -> None:
    """What it has replayed, and has died once more, is not replayed again by it."""
    choice = CHOICE | {"id": "2", "action": "replay"}
    _, fields = finished(post(client, "/dead-letters/preview", data=choice))

    finished(post(client, "/dead-letters/run", data=fields))
    work(app)
    text, _ = finished(post(client, "/dead-letters/run", data=fields))

    assert "0 dead letters replayed" in text
    assert number_dead(app) == 5


@pytest.mark.usefixtures("dead")
def test_replaying_one(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """The page of an event has buttons for what its receivers have given up."""
    directory.is_cured = True
    page = Page(get(client, "/events/2"))
    choice = {name: page.values(name)[0] for name in ("hook", "receiver", "id")}

    preview = Page(post(client, "/dead-letters/preview", data=choice | {"action": "replay"}).text)
    assert "Replay 1 dead letter?" in preview.text
    assert preview.values("id") == ["2"]
    post(client, "/dead-letters/run", data=choice | {"action": "replay"})
    work(app)

    assert number_dead(app) == 4
    assert "directory, attempt 1: done" in Page(get(client, "/events/2")).text


@pytest.mark.usefixtures("dead")
def test_batches(client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request does one batch, and its page goes on or stops; what it has done is done."""
    monkeypatch.setattr(dead_letters, "BATCH", 2)
    fields = {**CHOICE, "action": "replay", "total": "5", "reason": "why"}

    numbers, said = [], []
    for _ in range(3):
        text, fields = finished(post(client, "/dead-letters/run", data=fields))
        numbers.append(number_dead(app))
        said.append(text)
        if "after" not in fields:
            break

    assert numbers == [3, 1, 0]
    assert "2 dead letters replayed so far" in said[0]
    assert "5 dead letters replayed" in said[2]
    entries = state_of(app).runtime().inbox.audit.entries()
    assert [(one.number, one.reason) for one in entries] == [(1, "why"), (2, "why"), (2, "why")]


@pytest.mark.usefixtures("dead")
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"hook": "okta"},
        {"hook": "okta", "action": "prune"},
        CHOICE,
        CHOICE | {"action": "delete"},
        CHOICE | {"action": "prune", "hook": "other"},
        CHOICE | {"action": "prune", "id": ""},
        CHOICE | {"action": "prune", "id": "x"},
        CHOICE | {"action": "prune", "id": "999"},
        CHOICE | {"action": "prune", "id": [str(number) for number in range(201)]},
        CHOICE | {"action": "prune", "after": "x"},
    ],
)
def test_a_form_that_was_made_up(client: FlaskClient, app: Flask, form: dict[str, Any]) -> None:
    """What is not what a page sends does nothing, and is no error of the app's."""
    answer = post(client, "/dead-letters/run", data=form)

    assert answer.status_code == 404
    assert number_dead(app) == 5


@pytest.mark.usefixtures("dead")
def test_numbers_that_were_made_up(client: FlaskClient) -> None:
    """What a form says of the batches before is only shown, so it cannot be wrong enough for an error."""
    form = CHOICE | {"action": "replay", "number": "9" * 400, "total": "-5"}

    text, _ = finished(post(client, "/dead-letters/run", data=form))

    assert "5 dead letters replayed" in text


def test_what_the_audit_has_of_a_selection(
    client: FlaskClient, app: Flask, directory: Directory
) -> None:
    """The uuids of the first ten, whole, and how many more."""
    deliver(app, *(make_event(CREATED, seed=number) for number in range(12)))
    work(app)
    inbox = state_of(app).runtime().inbox
    ids = list(range(1, 13))
    named = " ".join(event.uuid for event in inbox.overview.by_ids(ids[:10]))

    post(client, "/dead-letters/run", data={**CHOICE, "id": ids, "action": "prune"})

    (entry,) = inbox.audit.entries()
    assert entry.subject == f"dead letters of directory: {named} and 2 more"
    assert entry.number == 12


def test_events_that_cannot_be_read(client: FlaskClient, app: Flask) -> None:
    """What no receiver had, because it cannot be read, has a place of its own, and can be pruned."""
    deliver(app, {"uuid": "u-1"})

    page = Page(get(client, "/dead-letters"))
    assert "Events that could not be read" in page.text
    text, _ = finished(
        post(client, "/dead-letters/run", data={"hook": "okta", "receiver": "", "action": "prune"})
    )

    assert "1 dead letter pruned" in text
    assert number_dead(app) == 0

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from okta_hooks import EventHook, RetryLater, console, drain, state_of
from okta_hooks.console import Console
from tests.support import SECRET

from .support import OWN, ROOT, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

#: What would become an element, an attribute, an entity or an address, or turn the text around it.
MARKUP = "<img src=x onerror=alert(1)>"
EVIL = [
    MARKUP,
    "</pre></td></table></main><script src=//evil.example></script>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&#x3c;",
    "\u202egnp.exe\u202c \u2066\u200f",
    "\x00\x1b[31m\x9b\x85\u2028\r\n",
    "noether@corp.example",
    "javascript:alert(1)",
    "a" * 3000,
]
TEXTS = st.sampled_from(EVIL) | st.text(max_size=40)
UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, FlaskClient]]:
    """Return an app whose receivers fail with an error that events choose."""
    folder = tmp_path_factory.mktemp("hostile")
    app = Flask("host")
    app.config.update(
        OKTA_HOOKS_SECRET=SECRET,
        OKTA_HOOKS_INBOX=f"sqlite:///{folder}/inbox.sqlite3",
        OKTA_HOOKS_MAX_ATTEMPTS=1,
    )
    app.testing = True
    okta = EventHook("okta")

    @okta.on("*", name=f"receiver {MARKUP}")
    def fail(app: Flask, event: Any, **_: Any) -> None:
        raise ValueError(event.display_message)

    @okta.on("*", name="later \" onclick='alert(1)'")
    def later(app: Flask, **_: Any) -> None:
        raise RetryLater(7200)

    app.register_blueprint(okta)
    app.register_blueprint(Console(authorize=lambda: ("operate", MARKUP)))
    yield app, app.test_client()
    state_of(app).close()


def screens(client: FlaskClient, event_id: int) -> dict[str, str]:
    """Return every screen by its name, with links followed as a person would."""
    first = {"overview": "", "events": "/events", "dead": "/dead-letters", "all": "/receivers"}
    first |= {"audit": "/audit", "registration": "/registration", "event": f"/events/{event_id}"}
    pages = {name: client.get(ROOT + path).text for name, path in first.items()}
    follow = [("receiver", "all", "/receivers/one"), ("group", "dead", "group=")]
    for name, source, part in follow:
        for number, link in enumerate(Page(pages[source]).links(part)[:3]):
            pages[f"{name} {number}"] = client.get(link).text
    dead = Page(pages["dead"])
    groups = zip(dead.values("receiver"), dead.values("group"), strict=True)
    for number, (receiver, group) in enumerate(itertools.islice(groups, 3)):
        choice = {"hook": "okta", "receiver": receiver, "group": group, "action": "replay"}
        preview = client.post(f"{ROOT}/dead-letters/preview", data=choice, headers=OWN)
        assert "There are none any more" not in preview.text
        pages[f"preview {number}"] = preview.text
    return pages


@functools.cache
def ours() -> tuple[set[str], set[str]]:
    """Return the elements and attributes that our own templates have."""
    folder = Path(console.__file__).parent
    texts = [path.read_text("utf-8") for path in folder.rglob("*.html")]
    texts.append((folder / "shown.py").read_text("utf-8"))
    source = " ".join(texts)
    tags = set(re.findall(r"<([a-z][a-z0-9]*)", source))
    names = set(re.findall(r"[\s{}%]([a-zA-Z][a-zA-Z0-9-]*)(?==\"|[\s>{])", source))
    return tags, {name.lower() for name in names}


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(kind=TEXTS, uuid=TEXTS, name=TEXTS, error=TEXTS, source=TEXTS)
@example(kind=EVIL[0], uuid=EVIL[3], name=EVIL[2], error=EVIL[1], source=EVIL[4])
@example(kind=EVIL[6], uuid=EVIL[7], name=EVIL[8], error=EVIL[8], source=EVIL[6])
@example(kind=EVIL[8], uuid=EVIL[8], name=EVIL[8], error=EVIL[10], source=EVIL[8])
def test_nothing_of_an_event_is_markup(
    hostile: tuple[Flask, FlaskClient], kind: str, uuid: str, name: str, error: str, source: str
) -> None:
    """Whatever stands in an event, or in an error about it, every page consists of our own elements and attributes."""
    app, client = hostile
    event = {
        "uuid": f"{next(NUMBERS)} {uuid}",
        "eventType": kind,
        "displayMessage": error,
        "actor": {"type": kind, "displayName": name, "alternateId": uuid, name: name},
        "target": [{"type": name, "id": uuid}],
    }
    body = {"source": source, "eventId": uuid, "data": {"events": [event]}}
    sent = client.post("/okta/events", json=body, headers={"Authorization": SECRET})
    assert sent.status_code == 204
    drain(app)
    event_id = state_of(app).runtime().inbox.overview.newest_id()
    tags, attributes = ours()

    pages = screens(client, event_id)

    for screen, text in pages.items():
        for tag, has in Page(text).elements:
            assert tag in tags, (screen, tag)
            assert set(has) <= attributes, (screen, tag, has)
            assert not any(each.startswith("on") or each == "style" for each in has), (screen, has)
            assert tag != "script" or has["src"] == f"{ROOT}/static/console.js"
        assert not UNPRINTABLE.search(text), (screen, UNPRINTABLE.search(text))
        assert "corp.example" not in text, screen
        assert text.count("</main>") == 1
    revealed = client.post(
        f"{ROOT}/events/{event_id}/reveal", headers=OWN, data={"reason": f"{MARKUP}\u202e"}
    )
    assert revealed.status_code == 200
    assert {tag for tag, _ in Page(revealed.text).elements} <= tags
    assert not UNPRINTABLE.search(revealed.text)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "type",
                "receiver",
                "since",
                "until",
                "uuid",
                "state",
                "before",
                "after",
                "hook",
                "name",
                "group",
                "by",
                "done",
            ]
        ),
        TEXTS,
        max_size=4,
    )
)
def test_nothing_of_a_url_is_markup(
    hostile: tuple[Flask, FlaskClient], fields: dict[str, str]
) -> None:
    """Whatever somebody is led to by a link, no page fails, and none has an element out of the link."""
    _, client = hostile
    tags, attributes = ours()

    for path in ("", "/events", "/dead-letters", "/dead-letters/group", "/receivers/one", "/audit"):
        answer = client.get(ROOT + path, query_string=fields)

        assert answer.status_code in {200, 404}
        for tag, has in Page(answer.text).elements:
            assert tag in tags
            assert set(has) <= attributes

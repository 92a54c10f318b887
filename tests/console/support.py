"""What tests of the console share: deliveries, posts of its own pages, and what a page is made of."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from okta_hooks import drain
from okta_hooks.testing import make_delivery, make_event
from tests.support import SECRET

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

ROOT = "/okta/console"
OWN = {"Sec-Fetch-Site": "same-origin"}
ADDRESS = "noether@corp.example"


def deliver(app: Flask, *events: Any, hook: str = "/okta/events") -> None:
    """Post events as Okta does: event types, or whole events."""
    made = [
        make_event(each, seed=number, target=f"user:{ADDRESS}") if isinstance(each, str) else each
        for number, each in enumerate(events)
    ]
    answer = app.test_client().post(
        hook, json=make_delivery(made, seed=len(made)), headers={"Authorization": SECRET}
    )
    assert answer.status_code == 204


def work(app: Flask) -> None:
    """Let receivers run until nothing is due."""
    drain(app)


def get(client: FlaskClient, path: str = "", **arguments: Any) -> str:
    """Return a page."""
    answer = client.get(ROOT + path, query_string=arguments or None)
    assert answer.status_code == 200, answer.text
    return answer.text


def post(client: FlaskClient, path: str, **options: Any) -> TestResponse:
    """Post as a page of the console does."""
    return client.post(ROOT + path, headers=OWN, **options)


class Page(HTMLParser):
    """The elements of a page, each with its attributes, and the text that it shows."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.shown.append(data)

    @property
    def text(self) -> str:
        """All that it shows, with single blanks."""
        return " ".join(" ".join(self.shown).split())

    def values(self, name: str) -> list[str]:
        """Return what stands in the fields of a name."""
        return [each.get("value") or "" for _, each in self.elements if each.get("name") == name]

    def links(self, part: str) -> list[str]:
        """Return the links with something in them."""
        hrefs = [each.get("href") or "" for tag, each in self.elements if tag == "a"]
        return [href for href in hrefs if part in href]

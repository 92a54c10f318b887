"""The org's API over the official SDK's transport, against a simulated org and servers that misbehave."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import OktaRefused, OktaUnavailable
from tests.support import NEEDS_SDK

from .support import BODY, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.org.client import OktaClient
    from okta_hooks.simulator import Simulator

pytestmark = NEEDS_SDK


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Return a function that runs a server which always answers the same, and returns its URL."""
    servers = []

    def start(status: int, body: bytes, **headers: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                start.asked += 1  # type: ignore[attr-defined]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    start.asked = 0  # type: ignore[attr-defined]
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_hook_is_created_verified_and_replaced(org: OktaClient) -> None:
    """What the org says of a hook arrives in its attributes, and the secret does not."""
    assert org.hooks() == []

    made = org.create_hook(BODY)
    assert made.name == "Offboarding"
    assert made.url == "https://app.example.com/okta/events"
    assert made.event_types == ("user.lifecycle.deactivate",)
    assert made.auth_header == "Authorization"
    assert made.channel
    assert made.channel.config
    assert [header.key for header in made.channel.config.headers] == ["X-Via"]
    assert (made.is_active, made.is_verified) == (True, False)
    assert "s3cret" not in repr(made)

    assert org.verify_hook(made.id).is_verified
    moved = {**BODY, "channel": json.loads(json.dumps(BODY["channel"]).replace("app.", "www."))}
    assert not org.replace_hook(made.id, moved).is_verified
    assert org.activate_hook(made.id).is_active
    assert [hook.url for hook in org.hooks()] == ["https://www.example.com/okta/events"]


def test_the_log_is_read_page_by_page(simulator: Simulator, org: OktaClient) -> None:
    """Polling goes on from the link of the page before, also of one that holds nothing."""
    simulator.org.emit("user.lifecycle.create", count=1001)
    simulator.org.emit("user.session.start")
    since = datetime.now(UTC) - timedelta(hours=1)

    first = org.log_page(org.log_url(since=since, filter='eventType eq "user.lifecycle.create"'))
    assert len(first.events) == 1000
    assert first.next_url
    second = org.log_page(first.next_url)
    assert [event["eventType"] for event in second.events] == ["user.lifecycle.create"]
    assert second.next_url
    assert org.log_page(second.next_url).events == []
    simulator.org.emit("user.lifecycle.create")
    assert len(org.log_page(second.next_url).events) == 1


def test_a_bounded_look_ends(simulator: Simulator, org: OktaClient) -> None:
    """With an end, there is a last page."""
    simulator.org.emit("user.session.start")
    now = datetime.now(UTC)

    page = org.log_page(org.log_url(since=now - timedelta(hours=1), until=now + timedelta(hours=1)))
    assert len(page.events) == 1
    assert page.next_url is None


def test_the_newest_events_of_what_is_no_log(serve: Callable[..., str]) -> None:
    """Whoever answers with anything else has not said that the log is empty."""
    now = datetime.now(UTC)
    with (
        connect(serve(200, b"{}", Content_Type="application/json")) as org,
        pytest.raises(OktaUnavailable, match="did not answer with a list of events"),
    ):
        org.newest_events(now - timedelta(hours=1), now)


def test_the_token_goes_nowhere_else(org: OktaClient) -> None:
    """What is no URL of a log is not asked; of one of another host only path and query are taken, to the own org."""
    with pytest.raises(ValueError, match="no URL of the System Log"):
        org.log_page(f"{org.url}/api/v1/users")

    page = org.log_page(org.log_url(since=datetime.now(UTC)).replace(org.url, "https://a.invalid"))

    assert page.next_url is not None
    assert page.next_url.startswith(f"{org.url}/api/v1/logs?")


def test_a_log_that_goes_on_at_another_host(serve: Callable[..., str]) -> None:
    """An org with a custom domain has several hosts: the log goes on at the one that is configured."""
    link = '<https://Acme.okta.com/api/v1/logs?after=1>; rel="next"'
    url = serve(200, b"[]", Content_Type="application/json", Link=link)

    with connect(url) as org:
        page = org.log_page(org.log_url(since=datetime.now(UTC)))

    assert page.next_url == f"{url}/api/v1/logs?after=1"


def test_a_log_that_goes_on_at_no_log(serve: Callable[..., str]) -> None:
    """That will not pass, so it is not tried again."""
    link = '<https://evil.example.com/collect?after=1>; rel="next"'
    url = serve(200, b"[]", Content_Type="application/json", Link=link)

    with connect(url) as org, pytest.raises(OktaUnavailable, match="at what is no log") as caught:
        org.log_page(org.log_url(since=datetime.now(UTC)))
    assert not caught.value.is_transient
    assert "is OKTA_HOOKS_ORG_URL the address of the org itself" in str(caught.value)


def test_a_log_that_goes_on_at_a_malformed_url(serve: Callable[..., str]) -> None:
    """It is no end of the log either."""
    link = '<http://[::1/api/v1/logs?after=1>; rel="next"'
    url = serve(200, b"[]", Content_Type="application/json", Link=link)

    with connect(url) as org, pytest.raises(OktaUnavailable, match="at what is no URL") as caught:
        org.log_page(org.log_url(since=datetime.now(UTC)))
    assert not caught.value.is_transient


def test_a_redirect_to_a_malformed_url(serve: Callable[..., str]) -> None:
    """It is told as any other is."""
    url = serve(307, b"", Location="http://[::1/api")

    with (
        connect(url) as org,
        pytest.raises(OktaUnavailable, match=r"307, which points to \(a malformed URL\)"),
    ):
        org.hooks()


def test_an_org_with_a_malformed_name(serve: Callable[..., str]) -> None:
    """It is another name than ours, whatever it is."""
    document = b'{"_links": {"organization": {"href": "http://[::1"}}}'
    with connect(serve(200, document, Content_Type="application/json")) as org:
        assert org.other_names() == ("http://[::1",)


def test_the_rate_limit_holds_for_the_names(simulator: Simulator) -> None:
    """It is waited out there, too."""
    simulator.org.api_faults.add(1, status=429, path="/.well-known/")
    waits: list[float] = []
    with connect(simulator.url, simulator.org.token, wait=waits.append) as org:
        org.other_names()
    assert len(waits) == 1


def test_an_org_has_one_spelling(simulator: Simulator) -> None:
    """Case and the usual port make no difference in its address."""
    with connect(simulator.url.replace("127.0.0.1", "LOCALHOST")) as org:
        assert org.url == simulator.url.replace("127.0.0.1", "localhost")
        assert org.hooks() == []
    with connect("https://Acme.Okta.com:443/") as org:
        assert org.url == "https://acme.okta.com"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(serve: Callable[..., str], status: int) -> None:
    """The token and the secret of a hook stay with the org, and where it pointed is said."""
    received: list[bytes] = []

    class Thief(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        do_GET = do_POST = do_PUT  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    thief = ThreadingHTTPServer(("127.0.0.1", 0), Thief)
    threading.Thread(target=thief.serve_forever, args=(0.01,), daemon=True).start()
    elsewhere = f"http://127.0.0.1:{thief.server_port}/api/v1/eventHooks/who1"
    url = serve(status, b"", Location=f"{elsewhere}?token=hush")
    try:
        with connect(url) as org, pytest.raises(OktaUnavailable) as caught:
            org.replace_hook("who1", BODY)
    finally:
        thief.shutdown()
        thief.server_close()

    assert received == []
    assert f"answered {status}, which points to {elsewhere}." in str(caught.value)
    assert "hush" not in str(caught.value)
    assert not caught.value.is_transient


def test_a_refusal_is_one_readable_line(org: OktaClient) -> None:
    """Okta's error object becomes its code, its summary and its causes."""
    with pytest.raises(OktaRefused) as caught:
        org.create_hook({**BODY, "name": " "})

    assert caught.value.status == 400
    assert caught.value.code == "E0000001"
    assert str(caught.value) == (
        "Okta answered 400: E0000001: Api validation failed: eventHook "
        "(name: The field cannot be left blank)"
    )


def test_an_oauth_refusal(serve: Callable[..., str]) -> None:
    """The error object of OAuth 2.0 has other names, and they are read, too."""
    said = {"error": "invalid_scope", "error_description": "okta.logs.read is missing."}
    url = serve(403, json.dumps(said).encode(), Content_Type="application/json")

    with connect(url) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert str(caught.value) == "Okta answered 403: invalid_scope: okta.logs.read is missing."


@pytest.mark.parametrize("body", [b"", b"<html>", b"{broken", b"[1]", b'{"errorCauses": [1, {}]}'])
def test_a_refusal_without_reason(serve: Callable[..., str], body: bytes) -> None:
    """Whatever the body of an error holds, it is a refusal."""
    url = serve(499, body, Content_Type="application/json")

    with connect(url) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert str(caught.value) == "Okta answered 499: it gave no reason"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"{", b'"text"'])
def test_something_that_is_no_org(serve: Callable[..., str], body: bytes) -> None:
    """An OK that is not JSON is not taken for an answer."""
    with (
        connect(serve(200, body, Content_Type="text/html")) as org,
        pytest.raises(OktaUnavailable, match="is it the URL of an Okta org"),
    ):
        org.hooks()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'[{"uuid": ' + b"9" * 5000 + b"}]", "digits"),
        (b"[" * 100_000 + b"]" * 100_000, "recursion"),
        (b'\n[{"uuid": "a"', "Expecting"),
    ],
)
def test_a_page_that_cannot_be_read(serve: Callable[..., str], body: bytes, reason: str) -> None:
    """A list that JSON's reader refuses comes from the org all the same, and the reason is named."""
    url = serve(200, body, Content_Type="application/json")

    with connect(url) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert str(caught.value).startswith(f"{url} answered with a page that cannot be read: ")
    assert reason in str(caught.value)
    assert "does a proxy" in str(caught.value)


@pytest.mark.parametrize("body", [b"{}", b"[{}]", b"[1]", b""])
def test_an_answer_of_another_form(serve: Callable[..., str], body: bytes) -> None:
    """JSON that is no list of hooks is named as that."""
    url = serve(200, body, Content_Type="application/json")

    with connect(url) as org, pytest.raises(OktaUnavailable):
        org.hooks()


def test_an_answer_that_breaks_off(serve: Callable[..., str]) -> None:
    """Bytes that are no text are no answer, and no traceback of the SDK's."""
    url = serve(200, b"\xff\xfe\xff", Content_Type="application/json; charset=utf-8")

    with connect(url) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert caught.value.__suppress_context__
    assert "Is what answers there an Okta org" in str(caught.value)


def test_nobody_listens(serve: Callable[..., str]) -> None:
    """A host that cannot be reached is named, and a port that is mistyped is thought of."""
    with connect("http://127.0.0.1:9") as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert str(caught.value).startswith(
        "http://127.0.0.1:9 cannot be reached: Cannot connect to host 127.0.0.1:9: Connection refused. "
        "Is OKTA_HOOKS_ORG_URL spelt right, its port included? May this host call it?"
    )


def test_the_rate_limit_is_waited_out(simulator: Simulator) -> None:
    """A request too many is made again when the limit is reset, and a person is told."""
    waited: list[float] = []
    told: list[str] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        simulator.org.clock = lambda: later

    with connect(simulator.url, tell=told.append, wait=wait) as org:
        url = org.log_url(since=datetime.now(UTC))
        for _ in range(6):
            org.log_page(url)

    assert len(waited) == 1
    assert 0 < waited[0] <= 61
    assert [line.partition(":")[0] for line in told] == ["The rate limit of http"]


def test_a_rate_limit_that_never_ends(serve: Callable[..., str]) -> None:
    """After a few waits it is a refusal, for which nobody waits; without a time of reset the wait is 10 s."""
    waited: list[float] = []
    url = serve(429, b'{"errorCode": "E0000047"}', Content_Type="application/json")

    with connect(url, wait=waited.append) as org, pytest.raises(OktaRefused, match="E0000047"):
        org.hooks()
    assert waited == [10.0] * 5
    assert serve.asked == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("reset", ["nan", "inf", "-inf", "soon", ""])
def test_a_reset_at_no_time(serve: Callable[..., str], reset: str) -> None:
    """What is no time is as good as none."""
    waited: list[float] = []
    url = serve(429, b"{}", X_Rate_Limit_Reset=reset)

    with connect(url, wait=waited.append) as org, pytest.raises(OktaRefused):
        org.hooks()
    assert waited == [10.0] * 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0"}, 1.0),
        ({"Retry_After": "86400"}, 120.0),
        ({"Retry_After": "soon"}, 10.0),
        ({"Retry_After": "²"}, 10.0),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 120.0),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 1.0),
        ({"Retry_After": "7", "X_Rate_Limit_Reset": "99999999999"}, 120.0),
    ],
)
def test_how_long_to_wait(
    serve: Callable[..., str], headers: dict[str, str], seconds: float
) -> None:
    """Okta says when its limit is reset; what stands in front of it says for how long, or until when, not to ask."""
    waited: list[float] = []
    url = serve(429, b"{}", **headers)

    with connect(url, wait=waited.append) as org, pytest.raises(OktaRefused):
        org.hooks()
    assert waited == [seconds] * 5


def test_a_refusal_says_when_to_come_back(serve: Callable[..., str]) -> None:
    """An org that is down for a while may say for how long."""
    with connect(serve(503, b"{}", Retry_After="30")) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert caught.value.retry_after == 30

    with connect(serve(503, b"{}")) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert caught.value.retry_after is None

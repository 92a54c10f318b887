from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from okta_hooks.secret import Secret
from okta_hooks.wire import protocol


def secrets(*texts: str) -> list[Secret]:
    return [Secret(text) for text in texts]


def test_answer_to_the_challenge() -> None:
    """Okta wants its challenge back as JSON under one key."""
    assert protocol.answer_challenge("abc") == '{"verification": "abc"}'


@pytest.mark.parametrize("challenge", ['"}{"x": "', "\\", "é", "\x01"])
def test_answer_stays_json(challenge: str) -> None:
    """Whatever the challenge holds comes back as one JSON string."""
    assert json.loads(protocol.answer_challenge(challenge)) == {"verification": challenge}


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("plain ^&*$!", (b"plain ^&*$!",)),
        ("é", (b"\xc3\xa9", b"\xe9")),
        ("中", (b"\xe4\xb8\xad",)),
    ],
)
def test_encodings(secret: str, expected: tuple[bytes, ...]) -> None:
    """A secret is its UTF-8 on the wire and, where Latin-1 has its characters, its Latin-1."""
    assert protocol.encodings(Secret(secret)) == expected


@pytest.mark.parametrize(
    ("presented", "position"),
    [(b"new", 0), (b"old", 1), (b"oldest", 2), (b"new ", None), (b"NEW", None), (b"", None)],
)
def test_rotation(presented: bytes, position: int | None) -> None:
    """Any live secret is accepted, and the answer tells which: the whole of it, in its case."""
    assert protocol.authenticate(presented, secrets("new", "old", "oldest")) == position


def test_same_secret_twice() -> None:
    """A secret that stands twice in the list is the first of the two."""
    assert protocol.authenticate(b"same", secrets("other", "same", "same")) == 1


def test_a_list_has_a_tag() -> None:
    """It is 16 bits, and the same in every process; another order, another secret and another cut have another."""
    assert protocol.tag_of(secrets("new", "old")) == 0xBA8A
    others: tuple[list[str], ...] = (
        [],
        ["new"],
        ["old", "new"],
        ["newo", "ld"],
        ["newold"],
        ["newer", "new"],
    )
    tags = [protocol.tag_of(secrets(*each)) for each in others]
    assert protocol.tag_of(secrets("new", "old")) not in tags
    assert len(set(tags)) == len(tags)
    assert max(tags) < 1 << 16


@pytest.mark.parametrize("presented", ["schlüssel".encode(), "schlüssel".encode("latin-1")])
def test_non_ascii_secret(presented: bytes) -> None:
    """A secret beyond ASCII is accepted in either encoding that HTTP leaves open."""
    assert protocol.authenticate(presented, secrets("schlüssel")) == 0


@pytest.mark.parametrize("scheme", [b"Bearer ", b"SSWS ", b"Basic ", b" "])
def test_no_scheme_is_taken_off(scheme: bytes) -> None:
    """The header is the secret verbatim: with a scheme in front of it, it is another value."""
    assert protocol.authenticate(scheme + b"s3cret", secrets("s3cret")) is None


def test_basic_authentication_is_a_plain_value() -> None:
    """``Basic ...`` is a secret like any other."""
    basic = "Basic dXNlcjpwYXNz"

    assert protocol.authenticate(basic.encode(), secrets(basic)) == 0


def test_no_secret_matches_nothing() -> None:
    """Without secrets nothing is authentic, least of all an empty header."""
    assert protocol.authenticate(b"", secrets()) is None


@pytest.mark.parametrize("presented", [b"first", b"zweit\xc3\xa9", b"last", b"wrong"])
def test_every_secret_is_compared(monkeypatch: pytest.MonkeyPatch, presented: bytes) -> None:
    """Every encoding of every secret goes through the constant-time comparison, match or no match."""
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare_digest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)

    protocol.authenticate(presented, secrets("first", "zweité", "last"))

    assert compared == [
        (presented, expected) for expected in (b"first", b"zweit\xc3\xa9", b"zweit\xe9", b"last")
    ]


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        (b"Bearer 12345678", "longer than the secret"),
        (b"1234567", "shorter than the secret"),
        (b"abcdefgh", "as long as a secret"),
        (b"abcdefghi", "as long as a secret"),
    ],
)
def test_hint(presented: bytes, expected: str) -> None:
    """What may be wrong is judged by the length of the header against the lengths of all secrets."""
    assert protocol.hint(presented, secrets("12345678", "1234567890")).startswith(expected)


def test_hint_knows_both_encodings() -> None:
    """A header of the length of either encoding is neither longer nor shorter."""
    assert protocol.hint(b"xxxx", secrets("éé")).startswith("as long as")
    assert protocol.hint(b"xx", secrets("éé")).startswith("as long as")
    assert protocol.hint(b"x", secrets("éé")).startswith("shorter")


@pytest.mark.parametrize("presented", [b"hush-that-is-long", b"h", b"hush-it"])
def test_hint_quotes_nothing(presented: bytes) -> None:
    """A hint tells lengths only: neither the header nor a secret stands in it."""
    text = protocol.hint(presented, secrets("hush-me"))

    assert "hush" not in text


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 8, 3, 9, 0, tzinfo=UTC), "2026-08-03T09:00:00.000Z"),
        (
            datetime(2026, 8, 3, 9, 0, 0, 1999, timezone(timedelta(hours=2))),
            "2026-08-03T07:00:00.001Z",
        ),
    ],
)
def test_okta_time(moment: datetime, expected: str) -> None:
    """A time is written in UTC, in whole milliseconds that have passed, with a ``Z``."""
    assert protocol.okta_time(moment) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uuid", "uuid"),
        ("event_type", "eventType"),
        ("from_", "from"),
        ("as_org", "asOrg"),
        ("displayMessage", "displayMessage"),
    ],
)
def test_okta_key(name: str, expected: str) -> None:
    """A name in snake case is spelt in camel case, and a key of Okta's stays as it is."""
    assert protocol.okta_key(name) == expected

from __future__ import annotations

import json
import traceback

import pytest

from okta_hooks.secret import Secret, frameless, revealed


def test_a_secret_does_not_show() -> None:
    """However it is made a text of, nothing of it is there; asked by its name, it is."""
    secret = Secret("hush")

    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret])):
        assert "hush" not in text
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal() == "hush"


def test_secrets_are_compared() -> None:
    """Two are equal if their texts are, and none is equal to a text: who compares so has it in plain."""
    assert Secret("é\udc80") == Secret("é\udc80")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_what_is_sent_is_revealed() -> None:
    """In what becomes JSON each secret is replaced by its text, and all else stays."""
    value = {"a": [Secret("x"), 1], "b": {"c": Secret("y")}, "d": None}

    assert revealed(value) == {"a": ["x", 1], "b": {"c": "y"}, "d": None}


def test_an_error_without_frames() -> None:
    """What is raised has the frame of whoever calls, and none below; nothing that it was raised from is left."""

    @frameless
    def fail(secret: str) -> None:
        try:
            int(secret)
        except ValueError as error:
            raise LookupError("no") from error

    with pytest.raises(LookupError, match="no") as caught:
        fail("hush")

    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.tb)]
    assert names == ["test_an_error_without_frames", "call"]
    assert caught.value.__cause__ is caught.value.__context__ is None

"""What is logged has a constant text, named arguments, and attributes that the page on structured logs lists."""

from __future__ import annotations

import ast
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

import okta_hooks
from okta_hooks import EventHook, Reject
from okta_hooks.work import dispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

PACKAGE: Final = Path(okta_hooks.__file__).parent
PAGE: Final = (PACKAGE.parent / "docs" / "how-to" / "logs.md").read_text(encoding="utf-8")
#: The names of the page's tables.
DOCUMENTED: Final = set(
    re.findall(r"`okta_(\w+)`", "\n".join(re.findall(r"^\| (`okta_.*?) \|", PAGE, re.MULTILINE)))
)
LEVELS: Final = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
}
FORGED: Final = "Ada\x1b[2J\r\nINFO: all is well \u202e%(hook)s %d {hook}"
SHOWN: Final = r"Ada\x1b[2J\x0d\x0aINFO: all is well \u202e%(hook)s %d {hook}"


class Call(NamedTuple):
    """A call that logs, or a message of an outage: where it is, and what it is given."""

    where: str
    logger: str
    levels: frozenset[str]
    message: ast.expr
    arguments: tuple[ast.expr, ...]

    @property
    def text(self) -> str:
        """The constant text, or nothing."""
        value = self.message.value if isinstance(self.message, ast.Constant) else None
        return value if isinstance(value, str) else ""


def calls() -> Iterator[Call]:
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE.parent)
        logger = ".".join(place.with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                where = f"{place.as_posix()}:{node.lineno}"
                yield from (
                    Call(where, logger, levels, message, tuple(arguments))
                    for levels, message, arguments in logged_by(node)
                )


def logged_by(node: ast.Call) -> Iterator[tuple[frozenset[str], ast.expr, list[ast.expr]]]:
    """Yield what a call logs: by a method of a logger, `contained` with one, or as lines of an outage."""
    function, arguments = node.func, node.args
    if isinstance(function, ast.Name) and function.id == "Lines":
        for line in node.keywords:
            yield frozenset({"WARNING" if line.arg == "ends" else "ERROR"}), line.value, []
        return
    if isinstance(function, ast.Name) and function.id == "contained" and arguments:
        function, *arguments = arguments
    if not isinstance(function, ast.Attribute) or not is_logger(function.value):
        return
    if function.attr in LEVELS:
        yield frozenset({LEVELS[function.attr]}), arguments[0], arguments[1:]
    elif function.attr == "log":
        names = {
            each.attr
            for each in ast.walk(arguments[0])
            if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name)
        }
        yield frozenset(names & {*LEVELS.values()}), arguments[1], arguments[2:]


def is_logger(value: ast.expr) -> bool:
    name = value.id if isinstance(value, ast.Name) else getattr(value, "attr", "")
    return name in {"logger", "_logger", "log", "_log"}


#: Those of the two modules that log what others give them.
PASSING_ON: Final = {"okta_hooks.logs", "okta_hooks.outage"}
CALLS: Final = [call for call in calls() if call.logger not in PASSING_ON]


def test_the_walk_finds_the_messages() -> None:
    """It knows each way in which a message is logged; those that pass messages on log nothing of their own."""
    found = {call.logger for call in CALLS}

    assert len(CALLS) > 70
    assert {"okta_hooks.state.refusals", "okta_hooks.tracing", "okta_hooks.work.notices"} <= found
    assert all(
        isinstance(call.message, ast.Attribute | ast.Name)
        for call in calls()
        if call.logger in PASSING_ON
    )


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.where)
def test_a_message_is_a_constant_with_named_arguments(call: Call) -> None:
    """No text is put together, and nothing is positional; every name that is used is given, and documented."""
    assert call.text, "the message is no constant text"
    placeholders = re.findall(r"%(?!%)(?:\((\w+)\))?", call.text.replace("%%", ""))
    assert "" not in placeholders, "an argument without a name"
    assert set(placeholders) <= DOCUMENTED

    if not call.arguments:
        return
    (given,) = call.arguments
    assert isinstance(given, ast.Dict), "the arguments are no mapping"
    names: set[Any] = set()
    for key, value in zip(given.keys, given.values, strict=True):
        if key is None:
            assert ast.unparse(value).partition("(")[0] in {"about", "dispatch.about"}
            names |= dispatch.about(None).keys()
        else:
            assert isinstance(key, ast.Constant)
            names.add(key.value)
    assert set(placeholders) <= names
    assert names <= DOCUMENTED


def test_the_page_lists_the_messages() -> None:
    """All at WARNING and above, with their levels and loggers, but the simulator's; and no others."""
    listed = re.search(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert listed

    assert sorted(listed[1].splitlines()) == sorted(
        {
            f"{level} {call.logger}: {call.text}"
            for call in CALLS
            for level in call.levels & {"WARNING", "ERROR", "CRITICAL"}
            if not call.logger.startswith("okta_hooks.simulator")
        }
    )


def test_the_page_lists_no_attribute_that_nothing_has() -> None:
    """Each name that it has is given somewhere."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))

    assert {name for name in DOCUMENTED if f'"{name}": ' not in sources} == set()


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return a function that returns what has been logged so far, as the page's own formatter has it."""
    source = re.search(r"^```python\n(import json\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert source
    names: dict[str, Any] = {}
    exec(source[1], names)
    formatter: logging.Formatter = names["JSONFormatter"]()
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(formatter.format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("okta_hooks")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lambda: [json.loads(line) for line in kept]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_the_lines_of_real_work(
    make_app: Callable[..., Flask],
    okta: EventHook,
    body: Callable[..., bytes],
    tmp_path: Path,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """A delivery, a failing receiver, a dead letter and a refusal are lines with fields, whatever texts are in them."""

    @okta.on("user.lifecycle.create", name=f"crm {FORGED}")
    def fail(sender: Flask, **_: Any) -> None:
        raise LookupError(FORGED)

    @okta.on("user.lifecycle.create", name="mail")
    def refuse(sender: Flask, **_: Any) -> None:
        raise Reject(FORGED)

    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True
    for secret in ("correct horse", "wrong"):
        app.test_client().post(
            "/okta/events",
            data=body("user.lifecycle.create"),
            headers={"Authorization": secret},
        )
    app.test_client().post("/okta/events", data=b"[", headers={"Authorization": "correct horse"})
    state = app.extensions["okta_hooks"]
    state.runtime().worker.drain()
    state.close()

    found = lines()
    constant = {call.text for call in CALLS}
    assert {line["template"] for line in found} <= constant
    assert {name[5:] for line in found for name in line if name.startswith("okta_")} <= DOCUMENTED
    assert all(not re.search(r"[\x00-\x1f\u202e]", str(line["message"])) for line in found)

    def line_of(beginning: str) -> dict[str, Any]:
        (line,) = [each for each in found if each["template"].startswith(beginning)]
        return line

    stored = line_of("A delivery to the hook %(hook)r: ")
    assert (stored["level"], stored["okta_new"], stored["okta_duplicate"]) == ("INFO", 1, 0)
    assert stored["okta_delivery"] == "delivery-1"
    failed = line_of("Attempt ")
    assert failed["okta_receiver"] == f"crm {SHOWN}"
    assert (failed["okta_hook"], failed["okta_attempt"]) == ("okta", 1)
    assert failed["okta_event_type"] == "user.lifecycle.create"
    assert failed["okta_uuid"] in failed["okta_event"]
    assert failed["okta_error_type"] == "LookupError"
    assert isinstance(failed["okta_wait_seconds"], float)
    assert SHOWN in failed["traceback"]
    dead = line_of("Dead letter of the hook %(hook)r: ")
    assert (dead["okta_receiver"], dead["okta_reason"]) == ("mail", SHOWN)
    assert dead["okta_uuid"] == failed["okta_uuid"]
    wrong = line_of("Requests to the hook ")
    assert (wrong["okta_count"], wrong["okta_header"]) == (1, "Authorization")
    refused = line_of("A delivery to the hook %(hook)r was refused")
    assert isinstance(refused["okta_status"], int)

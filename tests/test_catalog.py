from __future__ import annotations

import csv
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

import okta_hooks
from okta_hooks import catalog

PACKAGE = Path(okta_hooks.__file__).parent
SCRIPT = Path(__file__).parent.parent / "scripts" / "update_catalog.py"
HEADER = "event_type,event_hook_eligible,stage,since_release\n"


def update(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command that regenerates the catalogue."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_every_type_of_the_release() -> None:
    """The catalogue has Okta's whole list of one release, and knows what event hooks can deliver."""
    entries = catalog.entries().values()
    eligible = [entry for entry in entries if entry.event_hook_eligible]

    assert catalog.RELEASE == "2026.08.1"
    assert len(entries) == 1274
    assert len(eligible) == 314
    assert sum(entry.stage == "ga" for entry in eligible) == 264
    assert sum(entry.stage == "beta" for entry in eligible) == 50
    assert {entry.stage for entry in entries} == {"ga", "beta", "internal"}


def test_literal_and_file_agree() -> None:
    """Editors complete exactly the identifiers that the data file has, in its order."""
    text = files("okta_hooks").joinpath("event_types.csv").read_text(encoding="utf-8")
    in_file = [row["event_type"] for row in csv.DictReader(text.splitlines())]

    assert list(get_args(catalog.EventType)) == in_file
    assert list(catalog.entries()) == in_file


def test_get() -> None:
    """An entry tells what is known of an event type."""
    assert catalog.get("user.lifecycle.deactivate") == catalog.CatalogEntry(
        event_type="user.lifecycle.deactivate",
        event_hook_eligible=True,
        stage="ga",
        since_release=catalog.entries()["user.lifecycle.deactivate"].since_release,
    )
    log_only = catalog.get("event_hook.delivery")
    assert log_only is not None
    assert log_only.event_hook_eligible is False


def test_get_knows_okta_s_case_only() -> None:
    """Identifiers are told apart by case, as Okta's are; what is unknown is None."""
    assert catalog.get("user.authentication.auth_via_IDP") is not None
    assert catalog.get("user.authentication.auth_via_idp") is None
    assert catalog.get("no.such.type") is None
    assert catalog.get("") is None


def test_catalogue_cannot_be_changed() -> None:
    """The one catalogue of the process is read-only."""
    with pytest.raises(TypeError, match="item assignment"):
        catalog.entries()["mine"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("user.lifecyle.deactivate", "user.lifecycle.deactivate"),
        ("user.session.strat", "user.session.start"),
        ("USER.SESSION.START", "user.session.start"),
        ("user.authentication.auth_via_idp", "user.authentication.auth_via_IDP"),
        ("event_hook.delivry", "event_hook.delivery"),
        ("zzz", None),
        ("", None),
    ],
)
def test_suggest(misspelt: str, meant: str | None) -> None:
    """The nearest identifier is suggested, whatever its case; none if none is near."""
    assert catalog.suggest(misspelt) == meant


def test_suggest_prefers_what_hooks_deliver() -> None:
    """Of near identifiers, one that Okta delivers to event hooks comes before a nearer one it only logs."""
    eligible = {name for name, entry in catalog.entries().items() if entry.event_hook_eligible}
    log_only = [name for name in catalog.entries() if name not in eligible]

    suggested = {name: catalog.suggest(name) for name in log_only[:40]}

    assert set(suggested.values()) & eligible
    for name, near in suggested.items():
        assert near in eligible or near == name


def test_suggest_among() -> None:
    """The choice can be narrowed to given identifiers."""
    assert catalog.suggest("user.session.strat", ["user.session.end"]) == "user.session.end"
    assert catalog.suggest("user.session.start", ["zone.update"]) is None
    assert catalog.suggest("user.session.start", []) is None


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("user.lifecyle", "user.lifecycle.*"),
        ("usr", "user.*"),
        ("user", "user.*"),
        ("application.lifcycle", "application.lifecycle.*"),
        ("zzz", None),
        ("", None),
        ("user.lifecycle.create.deeper.than.any", None),
    ],
)
def test_suggest_prefix(misspelt: str, meant: str | None) -> None:
    """The nearest prefix of as many segments, with types below it that hooks deliver, is suggested."""
    assert catalog.suggest_prefix(misspelt) == meant


def test_unknown_attribute() -> None:
    """What the module does not have is an AttributeError, though two of its names are made late."""
    with pytest.raises(AttributeError, match="has no attribute 'EventTypes'"):
        catalog.EventTypes


def test_update_reproduces_both_files(tmp_path: Path) -> None:
    """The command makes of the packaged file the packaged files, byte for byte."""
    done = update(PACKAGE / "event_types.csv", catalog.RELEASE, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1274 event types of release 2026.08.1\n"
    for name in ("event_types.csv", "_event_types.py"):
        assert (tmp_path / name).read_bytes() == (PACKAGE / name).read_bytes()


def test_update_sorts(tmp_path: Path) -> None:
    """The order of the new list does not matter, so that a difference shows what Okta changed."""
    new = tmp_path / "new.csv"
    new.write_text(f"{HEADER}b.c,no,beta,2\na.b,yes,ga,1\n", encoding="utf-8")

    assert update(new, "9999.01.0", tmp_path).returncode == 0

    assert (tmp_path / "event_types.csv").read_text(encoding="utf-8") == (
        f"{HEADER}a.b,yes,ga,1\nb.c,no,beta,2\n"
    )
    assert (
        (tmp_path / "_event_types.py")
        .read_text(encoding="utf-8")
        .endswith(
            'RELEASE: Final = "9999.01.0"\n\nEventType: TypeAlias = Literal[\n    "a.b",\n    "b.c",\n]\n'
        )
    )


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "a.b,maybe,ga,1\n",
        HEADER + "a.b,,ga,1\n",
        HEADER + "a.b,yes,ga,1\na.b,no,ga,1\n",
        HEADER + "a.b,yes,ga,1,more\n",
        HEADER + "a.b,yes,ga\n",
        HEADER + "a.b,yes,soon,1\n",
    ],
    ids=["value", "no value", "twice", "too many", "too few", "stage"],
)
def test_update_refuses(tmp_path: Path, content: str) -> None:
    """A list that is not as it should be is refused with the row, and nothing is written."""
    new = tmp_path / "new.csv"
    new.write_text(content, encoding="utf-8")

    done = update(new, "1", tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("This row is not as it should be: {'event_type': 'a.b'")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("first", ["event_type,stage,event_hook_eligible,since_release", "a,b", ""])
def test_update_refuses_other_columns(tmp_path: Path, first: str) -> None:
    """A list with other columns is refused with the names of those that it should have."""
    new = tmp_path / "new.csv"
    new.write_text(f"{first}\na.b,ga,yes,1\n" if first else "", encoding="utf-8")

    done = update(new, "1", tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("The columns should be ['event_type', 'event_hook_eligible'")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("arguments", [(), ("only.csv",), ("a", "b", "c", "d")])
def test_update_explains_itself(arguments: tuple[str, ...]) -> None:
    """With other than two or three arguments the command says how it is called."""
    done = update(*arguments)

    assert done.returncode == 1
    assert "python scripts/update_catalog.py NEW.csv RELEASE [DIRECTORY]" in done.stderr

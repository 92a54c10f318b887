from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

import okta_hooks
from okta_hooks import catalog

PACKAGE = Path(okta_hooks.__file__).parent
SCRIPT = Path(__file__).parent.parent / "scripts" / "update_catalog.py"
HEADER = "event_type,event_hook_eligible,stage,since_release\n"
WRITTEN = ("event_types.csv", "_event_types.py")


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


def list_of_now() -> str:
    return (PACKAGE / "event_types.csv").read_text(encoding="utf-8")


def as_okta_publishes_it(release: str = catalog.RELEASE) -> dict[str, Any]:
    """Return the catalogue of now in the form of Okta's event-types.json."""
    entries = [
        {
            "id": entry.event_type,
            "category": "core",
            "description": "Fired when something happens.",
            "info": {"created": "2016-03-17", "release": entry.since_release},
            "beta": entry.stage == "beta",
            "internal": entry.stage == "internal",
            "tags": ["event-hook-eligible", "user"] if entry.event_hook_eligible else ["user"],
            "mappings": [],
            "schema": {"debugData": None, "actor": None, "targets": None, "changeDetails": None},
        }
        for entry in catalog.entries().values()
    ]
    legacy = [{"id": "api.token.create", "category": "core", "tags": [], "mappings": []}]
    return {
        "release": release,
        "build": f"{release}-begin-1-g0",
        "categories": [],
        "tags": [],
        "versions": [
            {"version": "V1", "eventTypes": legacy},
            {"version": "V2", "eventTypes": entries[::-1], "schemas": {}},
        ],
    }


def dump(document: Any, folder: Path) -> Path:
    path = folder / "event-types.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def assert_refused(done: subprocess.CompletedProcess[str], said: str, folder: Path) -> None:
    """Check that the command has ended in one line, and has written nothing."""
    assert done.returncode == 1
    assert done.stderr.startswith(said), done.stderr
    assert done.stderr.count("\n") == 1
    assert not {path.name for path in folder.iterdir()} & {*WRITTEN}


def test_update_reproduces_both_files(tmp_path: Path) -> None:
    """The command makes of the packaged file the packaged files, byte for byte."""
    done = update(PACKAGE / "event_types.csv", catalog.RELEASE, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1274 event types of release 2026.08.1\n0 new, 0 gone\n"
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (PACKAGE / name).read_bytes()


@pytest.mark.parametrize("release", ["", catalog.RELEASE])
def test_update_takes_okta_s_own_list(tmp_path: Path, release: str) -> None:
    """Okta's event-types.json is taken as it is, with what it leaves out of its CSV, and says its release itself."""
    done = update(dump(as_okta_publishes_it(), tmp_path), release, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (PACKAGE / name).read_bytes()


def test_update_sorts(tmp_path: Path) -> None:
    """The order of the new list does not matter, so that a difference shows what Okta changed."""
    new = tmp_path / "new.csv"
    first, *rows = list_of_now().splitlines(keepends=True)
    new.write_text(f"{first}b.c,no,beta,2026.41.0\n{''.join(rows[:0:-1])}", encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    assert done.stdout == "1274 event types of release 2026.41.0\n1 new, 1 gone\n"
    written = (tmp_path / "event_types.csv").read_text(encoding="utf-8").splitlines()
    assert written[1:] == sorted(written[1:])
    assert "b.c,no,beta,2026.41.0" in written
    module = (tmp_path / "_event_types.py").read_text(encoding="utf-8")
    assert 'RELEASE: Final = "2026.41.0"\n' in module
    assert '    "b.c",\n' in module


@pytest.mark.parametrize(
    "row",
    [
        "a.b,maybe,ga,1",
        "a.b,,ga,1",
        "a.b,yes,ga,1\na.b,no,ga,1",
        "a.b,yes,ga,1,more",
        "a.b,yes,ga",
        "a.b,yes,soon,1",
        "a.b,yes,ga,",
    ],
    ids=["value", "no value", "twice", "too many", "too few", "stage", "no release"],
)
def test_update_refuses(tmp_path: Path, row: str) -> None:
    """A list that is not as it should be is refused with the row, and nothing is written."""
    new = tmp_path / "new.csv"
    new.write_text(f"{list_of_now()}{row}\n", encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    assert_refused(done, "This row is not as it should be: {'event_type': 'a.b'", tmp_path)


def test_update_writes_no_code(tmp_path: Path) -> None:
    """What is no identifier would become Python in the module, and is refused."""
    new = tmp_path / "new.csv"
    new.write_text(f"{list_of_now()}'a.b\"]; print(1)',yes,ga,1\n", encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    assert_refused(done, "This row is not as it should be", tmp_path)
    release = '2026.41.0"; print(1); "'
    done = update(PACKAGE / "event_types.csv", release, tmp_path)
    assert_refused(done, f"{release!r} is no release of Okta's", tmp_path)


@pytest.mark.parametrize("release", ["", "1", "2026.8.1", "2026.54.0", "2026.00.0", "v2026.08.1"])
def test_update_refuses_what_is_no_release(tmp_path: Path, release: str) -> None:
    """Releases are by year and month, or by year and week."""
    done = update(PACKAGE / "event_types.csv", release, tmp_path)

    assert_refused(done, f"{release!r} is no release of Okta's, such as 2026.08.1", tmp_path)


@pytest.mark.parametrize("number", [0, 1, 1146])
def test_update_refuses_a_part_of_a_list(tmp_path: Path, number: int) -> None:
    """An empty list, or one that has lost a tenth, is a download that broke off, or another list."""
    new = tmp_path / "new.csv"
    rows = list_of_now().splitlines(keepends=True)
    new.write_text("".join(rows[: number + 1]), encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    said = f"This list has {number} event types, and the catalogue has 1274: it is not the whole"
    assert_refused(done, said, tmp_path)


def test_update_refuses_a_list_without_what_hooks_deliver(tmp_path: Path) -> None:
    """If the tag were called otherwise, nothing would be subscribed to any more."""
    document = as_okta_publishes_it()
    for entry in document["versions"][1]["eventTypes"]:
        entry["tags"] = ["hookable"]

    done = update(dump(document, tmp_path), "", tmp_path)

    said = "This list has 0 types that event hooks deliver, and the catalogue has 314"
    assert_refused(done, said, tmp_path)


@pytest.mark.parametrize("first", ["event_type,stage,event_hook_eligible,since_release", "a,b", ""])
def test_update_refuses_other_columns(tmp_path: Path, first: str) -> None:
    """A list with other columns is refused with the names of those that it should have."""
    new = tmp_path / "new.csv"
    new.write_text(f"{first}\na.b,ga,yes,1\n" if first else "", encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    assert_refused(done, "The columns should be ['event_type', 'event_hook_eligible'", tmp_path)


def test_update_refuses_okta_s_csv(tmp_path: Path) -> None:
    """Okta's other list lacks the types in beta, and the right one is named."""
    new = tmp_path / "okta-event-types.csv"
    new.write_text("Event Type,Description,Release Date,Tags, Change Details\n", encoding="utf-8")

    done = update(new, "2026.41.0", tmp_path)

    assert_refused(done, "This is Okta's CSV, which leaves out the types in beta", tmp_path)


def test_update_refuses_another_release(tmp_path: Path) -> None:
    """A release that is said has to be that of the list."""
    done = update(dump(as_okta_publishes_it("2026.41.0"), tmp_path), "2026.42.0", tmp_path)

    assert done.stderr.endswith("event-types.json is of release 2026.41.0, not 2026.42.0.\n")
    assert done.returncode == 1


NO_FORM = "This is not of the form of Okta's event-types.json"
NO_ROW = "This row is not as it should be"
SOUND = '{"id": "a.b", "tags": [], "info": {"release": "1"}}'


def of_okta(event_types: str) -> str:
    """Return a document in the form of Okta's event-types.json, with these event types."""
    versions = f'[{{"version": "V2", "eventTypes": {event_types}}}]'
    return f'{{"release": "2026.41.0", "versions": {versions}}}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "This is no JSON that can be read"),
        ("[" * 100_000, "This is no JSON that can be read"),
        ("[]", f'{NO_FORM}: the document has no "versions".'),
        ("{}", f'{NO_FORM}: the document has no "versions".'),
        ('{"versions": null}', f'{NO_FORM}: "versions" of the document is no array.'),
        (
            '{"versions": [1, {"version": ["V2"]}, {"version": "V1", "eventTypes": []}]}',
            f'{NO_FORM}: no element of "versions" has "version": "V2".',
        ),
        ('{"versions": [{"version": "V2"}]}', f'{NO_FORM}: version V2 has no "eventTypes".'),
        (
            '{"versions": [{"version": "V2", "eventTypes": 1}]}',
            f'{NO_FORM}: "eventTypes" of version V2 is no array.',
        ),
        (
            '{"versions": [{"version": "V2", "eventTypes": []}]}',
            f'{NO_FORM}: the document has no "release".',
        ),
        (of_okta("[1]"), f'{NO_FORM}: element 1 of "eventTypes" has no "id".'),
        (of_okta('[{"id": "a"}]'), f'{NO_FORM}: element 1 of "eventTypes" has no "tags".'),
        (
            of_okta('[{"id": "a", "tags": null}]'),
            f'{NO_FORM}: "tags" of element 1 of "eventTypes" is no array.',
        ),
        (
            of_okta('[{"id": "a", "tags": []}]'),
            f'{NO_FORM}: element 1 of "eventTypes" has no "info".',
        ),
        (
            of_okta('[{"id": "a", "tags": [], "info": {}}]'),
            f'{NO_FORM}: "info" of element 1 of "eventTypes" has no "release".',
        ),
        (of_okta(f"[{SOUND}, {SOUND.replace('a.b', 'c')}]".replace('"c"', "1")), NO_ROW),
        (of_okta('[{"id": null, "tags": [], "info": {"release": 7}}]'), NO_ROW),
        ('event_type,event_hook_eligible,stage,since_release\n"' + "a" * 200_000, "This is no CSV"),
    ],
)
def test_update_never_ends_in_a_traceback(tmp_path: Path, content: str, said: str) -> None:
    """Whatever a file holds, one line says what is wrong with it."""
    new = tmp_path / "new"
    new.write_text(content, encoding="utf-8")

    assert_refused(update(new, "2026.41.0", tmp_path), said, tmp_path)


def test_update_without_a_file(tmp_path: Path) -> None:
    """A file that is not there, or is no text, and a folder that is none, are named."""
    missing = tmp_path / "none.json"
    assert_refused(update(missing, "", tmp_path), f"{missing} cannot be read", tmp_path)
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert_refused(update(tmp_path / "latin", "", tmp_path), f"{tmp_path / 'latin'}", tmp_path)
    done = update(PACKAGE / "event_types.csv", catalog.RELEASE, missing)
    assert_refused(done, f"{missing} cannot be written to", tmp_path)


@pytest.mark.parametrize("arguments", [(), ("a", "b", "c", "d")])
def test_update_explains_itself(arguments: tuple[str, ...]) -> None:
    """With other than one to three arguments the command says how it is called."""
    done = update(*arguments)

    assert done.returncode == 1
    assert "python scripts/update_catalog.py event-types.json [RELEASE] [DIRECTORY]" in done.stderr


def test_update_without_a_list_says_what_make_needs() -> None:
    """``make catalog`` alone says what to add to it."""
    done = update("", "")

    assert done.returncode == 1
    assert done.stderr == "Say JSON=event-types.json, or CSV=new.csv RELEASE=2026.41.0.\n"


def test_update_refuses_what_is_no_text(tmp_path: Path) -> None:
    """JSON can hold half a surrogate pair, which no file can."""
    document = as_okta_publishes_it()
    document["versions"][1]["eventTypes"][0]["info"]["release"] = "\ud800"

    done = update(dump(document, tmp_path), "", tmp_path)

    assert_refused(done, "The list holds what is no text: ", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["event-types.json"]

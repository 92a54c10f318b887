"""Regenerate the catalogue of event types from Okta's list of one release.

    python scripts/update_catalog.py event-types.json [RELEASE] [DIRECTORY]
    python scripts/update_catalog.py NEW.csv RELEASE [DIRECTORY]

event-types.json is Okta's own, from the repository of its documentation:
https://github.com/okta/okta-developer-docs/blob/master/packages/@okta/vuepress-site/data/event-types.json
It says itself which release it is of. NEW.csv has the columns ``event_type``, ``event_hook_eligible`` (yes or no),
``stage`` and ``since_release``; RELEASE is Okta's release that it was taken from. Releases were numbered by year and
month, 2026.08.1, and are by year and week from October 2026 on, 2026.41.0.
Two files are written to DIRECTORY (the package): ``event_types.csv`` and ``_event_types.py``.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

Row = dict[str, str]

COLUMNS: Final = ["event_type", "event_hook_eligible", "stage", "since_release"]
#: Of Okta's CSV, which leaves out the types in beta and those that are internal.
OKTA_COLUMN: Final = "Event Type"
STAGES: Final = ("ga", "beta", "internal")
#: The types of the System Log; the others are those of an API that is gone.
VERSION: Final = "V2"
ELIGIBLE: Final = "event-hook-eligible"
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
RELEASE: Final = re.compile(r"20\d\d\.(0[1-9]|[1-4]\d|5[0-3])\.\d{1,2}")
#: A list is a part of one if it has less than this of what the catalogue has now.
SMALLEST_PART: Final = 0.9
NO_FORM: Final = "This is not of the form of Okta's event-types.json"
#: What JSON calls what is read of it.
KINDS: Final[dict[type, str]] = {list: "array", dict: "object"}
PACKAGE: Final = Path(__file__).parent.parent / "okta_hooks"


def main(source: Path, release: str = "", directory: Path = PACKAGE) -> None:
    """Write both files.

    :param release: It may be left out if the source says it.
    :raises SystemExit: if the source is not as it should be, or is a part of a list only; nothing is written then.
    """
    text = read(source)
    if text.lstrip().startswith(("{", "[")):
        rows, said = from_json(text)
        if release and release != said:
            raise SystemExit(f"{source} is of release {said}, not {release}.")
        release = said
    else:
        rows = from_csv(text)
    if not RELEASE.fullmatch(release):
        raise SystemExit(
            f"{release!r} is no release of Okta's, such as 2026.08.1 (year and month) or 2026.41.0 (year and week)."
        )
    check(rows)
    rows.sort(key=lambda row: row["event_type"])
    before = from_csv(read(PACKAGE / "event_types.csv"))
    check_whole(rows, before)
    write(rows, release, directory)
    names, known = ({row["event_type"] for row in each} for each in (rows, before))
    print(f"{len(rows)} event types of release {release}")
    print(f"{len(names - known)} new, {len(known - names)} gone")


def read(path: Path) -> str:
    """Return the text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read: {error}") from error


def from_csv(text: str) -> list[Row]:
    """Read a list in this catalogue's own form."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns, rows = reader.fieldnames, list(reader)
    except csv.Error as error:
        raise SystemExit(f"This is no CSV that can be read: {error}") from error
    if columns and columns[0] == OKTA_COLUMN:
        raise SystemExit(
            "This is Okta's CSV, which leaves out the types in beta: take Okta's event-types.json."
        )
    if columns != COLUMNS:
        raise SystemExit(f"The columns should be {COLUMNS}, and are {columns}.")
    return rows


def from_json(text: str) -> tuple[list[Row], str]:
    """Read Okta's own list, and return it with the release that it says it is of."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SystemExit(f"This is no JSON that can be read: {error}") from error
    versions = [
        each
        for each in value_of(document, "versions", "the document", list)
        if isinstance(each, dict) and each.get("version") == VERSION
    ]
    if not versions:
        raise SystemExit(f'{NO_FORM}: no element of "versions" has "version": "{VERSION}".')
    entries = value_of(versions[0], "eventTypes", f"version {VERSION}", list)
    release = value_of(document, "release", "the document")
    return [row_of(entry, place) for place, entry in enumerate(entries, 1)], str(release)


def value_of(whole: Any, key: str, where: str, kind: type = object) -> Any:
    """Return what an object of Okta's list has at a key.

    :param where: What the object is.
    :param kind: What has to be there; anything unless it is said.
    """
    if not isinstance(whole, dict) or key not in whole:
        raise SystemExit(f'{NO_FORM}: {where} has no "{key}".')
    value = whole[key]
    if not isinstance(value, kind):
        raise SystemExit(f'{NO_FORM}: "{key}" of {where} is no {KINDS[kind]}.')
    return value


def row_of(entry: Any, place: int) -> Row:
    """Return what the catalogue has of one of Okta's entries.

    :param place: Its place in the list.
    """
    where = f'element {place} of "eventTypes"'
    event_type = value_of(entry, "id", where)
    is_eligible = ELIGIBLE in value_of(entry, "tags", where, list)
    stage = "internal" if entry.get("internal") else "beta" if entry.get("beta") else "ga"
    info = value_of(entry, "info", where, dict)
    return {
        "event_type": event_type,
        "event_hook_eligible": "yes" if is_eligible else "no",
        "stage": stage,
        "since_release": value_of(info, "release", f'"info" of {where}'),
    }


def check(rows: list[Row]) -> None:
    """Refuse a row that is not as it should be, or stands twice."""
    times = Counter(str(row["event_type"]) for row in rows)
    for row in rows:
        if (
            not all(isinstance(value, str) for value in (*row, *row.values()))
            or not IDENTIFIER.fullmatch(row["event_type"])
            or row["event_hook_eligible"] not in ("yes", "no")
            or row["stage"] not in STAGES
            or not row["since_release"]
            or times[row["event_type"]] > 1
        ):
            raise SystemExit(f"This row is not as it should be: {row}")


def check_whole(rows: list[Row], before: list[Row]) -> None:
    """Refuse a list that has much less than the one before: Okta adds types, and hardly ever takes one away."""
    kinds = {"event types": ("yes", "no"), "types that event hooks deliver": ("yes",)}
    for what, values in kinds.items():
        number, had = (
            sum(row["event_hook_eligible"] in values for row in each) for each in (rows, before)
        )
        if number < SMALLEST_PART * had:
            raise SystemExit(
                f"This list has {number} {what}, and the catalogue has {had}: it is not the whole of a release."
            )


def write(rows: list[Row], release: str, directory: Path) -> None:
    """Write the data file, and the module that is made of it."""
    data = io.StringIO()
    writer = csv.DictWriter(data, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    literal = "".join(f'    "{row["event_type"]}",\n' for row in rows)
    module = (
        '"""Generated by scripts/update_catalog.py: do not edit."""\n\n'
        "from typing import Final, Literal, TypeAlias\n\n"
        f'RELEASE: Final = "{release}"\n\n'
        f"EventType: TypeAlias = Literal[\n{literal}]\n"
    )
    try:
        texts = {
            "event_types.csv": data.getvalue().encode(),
            "_event_types.py": module.encode(),
        }
    except UnicodeEncodeError as error:  # half a surrogate pair, which JSON can hold
        raise SystemExit(f"The list holds what is no text: {error}") from error
    try:
        for name, text in texts.items():
            (directory / f"{name}.new").write_bytes(text)
        for name in texts:
            (directory / f"{name}.new").replace(directory / name)
    except OSError as error:
        raise SystemExit(f"{directory} cannot be written to: {error}") from error


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        raise SystemExit(__doc__)
    _, list_of_okta, *others = sys.argv
    if not list_of_okta:
        # As "make catalog" alone calls it.
        raise SystemExit("Say JSON=event-types.json, or CSV=new.csv RELEASE=2026.41.0.")
    main(
        Path(list_of_okta),
        others[0] if others else "",
        Path(others[1]) if others[1:] else PACKAGE,
    )

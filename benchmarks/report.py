"""Says what was measured: a table, JSON, and a plot."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from . import dispatch, endpoint, footprint, growth, latency, looking, parser, through_celery

if TYPE_CHECKING:
    from .figures import Figures

_PACKAGES: Final = (
    "flask",
    "gunicorn",
    "sqlalchemy",
    "marshmallow",
    "msgspec",
    "psycopg",
    "fastapi",
    "uvicorn",
    "okta",
    "celery",
    "redis",
    "flask-sqlalchemy",
    "procrastinate",
)


@dataclass(frozen=True)
class Target:
    """A ratio of medians that is to be at least, or at most, so much; or a plain value, if ``to`` is None."""

    what: str
    item: str
    contender: str
    to: str | None
    least: float | None = None
    most: float | None = None
    #: Whether not the median of the rounds counts, but the worst of them.
    every: bool = False


_ONE, _HUNDRED = (f"deliveries of {events} answered per second" for events in endpoint.SIZES)
_LARGE, _SMALL = "10,000,000 events", "10,000 events"
TARGETS: Final = (
    Target(
        "204 on SQLite, 1 event, against plain Flask (x)",
        _ONE,
        endpoint.SQLITE,
        endpoint.PLAIN,
        least=0.65,
    ),
    Target("the same, [fast]", _ONE, endpoint.FAST, endpoint.PLAIN, least=0.65),
    Target(
        "204 on SQLite, 100 events, against plain Flask (x)",
        _HUNDRED,
        endpoint.SQLITE,
        endpoint.PLAIN,
        least=0.65,
    ),
    Target("the same, [fast]", _HUNDRED, endpoint.FAST, endpoint.PLAIN, least=1.0),
    Target(
        "204 on SQLite, 100 events, against FastAPI (x)",
        _HUNDRED,
        endpoint.SQLITE,
        endpoint.SDK,
        least=1.5,
    ),
    Target("the same, [fast]", _HUNDRED, endpoint.FAST, endpoint.SDK, least=1.5),
    Target(
        "204 on PostgreSQL, 100 events, [fast], against plain Flask (x)",
        _HUNDRED,
        endpoint.FAST_POSTGRESQL,
        endpoint.PLAIN,
        least=0.65,
    ),
    *(
        Target(f"204, {what}: {ours}, against {peer} (x)", item, ours, peer, least=2)
        for what, item in (("1 event", _ONE), ("100 events", _HUNDRED))
        for peer, compared in endpoint.DURABLE.items()
        for ours in compared
    ),
    Target(
        "p99 of the 204 while all receivers hang (ms)", latency.ITEM, "SQLite, p99", None, most=100
    ),
    Target(
        "the slowest of all rounds (ms)", latency.ITEM, "SQLite, max", None, most=1000, every=True
    ),
    Target(
        "full parse of an event, time against the SDK's (x)",
        parser.ITEM,
        parser.OURS,
        parser.SDK,
        most=0.5,
    ),
    Target(
        "dispatch on SQLite, events per second against Celery (x)",
        dispatch.ITEM,
        dispatch.SQLITE,
        dispatch.CELERY,
        least=2,
    ),
    Target(
        "the same, against Celery's solo pool (x)",
        dispatch.ITEM,
        dispatch.SQLITE,
        dispatch.CELERY_SOLO,
        least=2,
    ),
    Target(
        "dispatch on PostgreSQL, events per second against SQLite (x)",
        dispatch.ITEM,
        dispatch.POSTGRESQL,
        dispatch.SQLITE,
        least=0.7,
    ),
    *(
        Target(
            f"from the inbox through Celery, pool of {number}, against .delay with acks_late (x)",
            through_celery.ITEM,
            through_celery.OURS[number],
            through_celery.THEIRS[number],
            least=0.5,
        )
        for number in through_celery.OURS
    ),
    *(
        Target(
            f"{what} on {kind}, time at 10 million events against 10 thousand (x)",
            f"{item}, {kind}",
            _LARGE,
            _SMALL,
            most=1.3,
        )
        for kind in ("SQLite", "PostgreSQL")
        for what, item in (
            ("store", growth.STORE),
            ("store, all keys of version 4", growth.STORE_RANDOM),
            ("a backfill's look for what is stored", growth.COMPARE),
            ("fan out", growth.FAN_OUT),
            ("claim", growth.CLAIM),
            ("settle", growth.SETTLE),
            ("prune", growth.PRUNE),
        )
    ),
    *(
        Target(f"{what} on {kind}", f"{item}, {kind}", looking.WORST, None, most=most)
        for kind in ("SQLite", "PostgreSQL")
        for what, item, most in (
            ("the look that takes most longer at 10 million events (x)", looking.RATIO, 1.3),
            ("the longest look at 10 million events (ms)", looking.LONGEST, 300),
        )
    ),
    Target(
        "first answer of a process that okta_hooks.start has started, time against the same app without the hook (x)",
        footprint.FIRST,
        footprint.WITH,
        footprint.WITHOUT,
        most=1.5,
    ),
    Target(
        "start of a process to its first answer, time against the same app without the hook (x)",
        footprint.ANSWER,
        footprint.WITH,
        footprint.WITHOUT,
        most=1.5,
    ),
    Target("import on top of flask (ms)", footprint.IMPORT, footprint.OURS, None, most=60),
    Target(
        "worker's memory, draining 100,000 events against 1,000 (x)",
        dispatch.MEMORY,
        "100,000 events",
        "1,000 events",
        most=1.2,
    ),
)


def machine() -> dict[str, Any]:
    """Describe what this ran on, without a name."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "when": datetime.now(UTC).date().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_before": round(os.getloadavg()[0], 2),
        **{name: version(name) for name in _PACKAGES},
    }


def write(figures: Figures, described: dict[str, Any], folder: Path) -> None:
    """Write the tables, all figures and a plot into a folder."""
    folder.mkdir(exist_ok=True)
    document = {
        "machine": described,
        "figures": _summary(figures),
        "failed": figures.failed,
        "targets": [asdict(target) | _judged(figures, target) for target in TARGETS],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    heading = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in described.items())
    text = f"Measured on: {heading}.\n\n{tables(figures, judged=True)}\n"
    (folder / "results.md").write_text(text, encoding="utf-8")
    if all(endpoint.PLAIN in figures.values.get(item, {}) for item in (_ONE, _HUNDRED)):
        (folder / "endpoint.svg").write_text(_plot(figures), encoding="utf-8")


def tables(figures: Figures, *, judged: bool) -> str:
    """Return the tables in Markdown: what is wanted, if it is to be judged, and each item."""
    lines = _targets(figures) if judged else []
    for item in {**figures.values, **figures.failed}:
        if item.startswith(f"{looking.ITEM}, "):
            lines += [*looking.table(figures, item), ""]
        elif not item.startswith(looking.NOT_SHOWN):
            lines += _table(figures, item)
    return "\n".join(lines).rstrip()


def _summary(figures: Figures) -> dict[str, Any]:
    return {
        item: {
            name: {"median": figures.median(item, name), "least": min(each), "greatest": max(each),
                   "rounds": len(each)}
            for name, each in contenders.items()
        }
        for item, contenders in figures.values.items()
    }  # fmt: skip


def _table(figures: Figures, item: str) -> list[str]:
    """Return medians and spread, and ratios to what people would use instead, and what failed."""
    contenders = figures.values.get(item, {})
    to = _BASES.get(item, next(iter(contenders), ""))
    rounds = max(map(len, contenders.values()), default=0)
    lines = [
        f"| {item} | median of {rounds} | least to greatest | x | spread of x |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, each in contenders.items():
        cells = [f"{figures.median(item, name):,.4g}", f"{min(each):,.4g} to {max(each):,.4g}"]
        if to in contenders:
            ratio = figures.ratio(item, name, to)
            cells += [f"{ratio.median:.2f}", f"{ratio.least:.2f} to {ratio.greatest:.2f}"]
        else:
            cells += ["", ""]
        lines.append(f"| {' | '.join([name, *cells])} |")
    lines += [f"| {name} | failed | | | |" for name in figures.failed.get(item, {})]
    return [*lines, ""]


_BASES: Final = {
    _ONE: endpoint.PLAIN,
    _HUNDRED: endpoint.PLAIN,
    dispatch.ITEM: dispatch.CELERY,
    through_celery.ITEM: through_celery.THEIRS[1],
    parser.ITEM: parser.SDK,
    latency.ITEM: "",  # they are of one and the same
}


def _judged(figures: Figures, target: Target) -> dict[str, Any]:
    """Return what was measured for a target, and what that means."""
    contenders = figures.values.get(target.item, {})
    if not {target.contender, target.to or target.contender} <= contenders.keys():
        failed = figures.failed.get(target.item, {}).keys() & {target.contender, target.to}
        return {"measured": None, "verdict": "failed" if failed else "not measured"}
    if target.to is not None:
        value = figures.ratio(target.item, target.contender, target.to).median
    elif target.every:
        value = max(contenders[target.contender])
    else:
        value = figures.median(target.item, target.contender)
    met = value >= (target.least or value) and value <= (target.most or value)
    return {"measured": value, "verdict": "met" if met else "missed"}


def _targets(figures: Figures) -> list[str]:
    lines = ["| target | wanted | measured | |", "|---|--:|--:|---|"]
    for target in TARGETS:
        judged = _judged(figures, target)
        wanted = f"at least {target.least:g}" if target.least else f"at most {target.most:g}"
        measured = "" if judged["measured"] is None else f"{judged['measured']:.3g}"
        lines.append(f"| {target.what} | {wanted} | {measured} | {judged['verdict']} |")
    return [*lines, ""]


def _plot(figures: Figures) -> str:
    """Return bars: the answers per second of everybody, as multiples of the plain Flask view's."""
    rows = []
    top = 24
    for item in (_ONE, _HUNDRED):
        rows.append(f'<text x="0" y="{top}" font-weight="bold">{escape(item)}, multiples</text>')
        for name in figures.values[item]:
            top += 22
            ratio = figures.ratio(item, name, endpoint.PLAIN).median
            theirs = "#4b5563" if name in endpoint.DURABLE else "#9ca3af"
            colour = "#2563eb" if name.startswith("okta_hooks") else theirs
            width = min(ratio, 2.0) * 150
            rows.append(
                f'<text x="400" y="{top}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="410" y="{top - 12}" width="{width:.0f}" height="16" fill="{colour}"/>'
                f'<text x="{415 + width:.0f}" y="{top}">{ratio:.2f}</text>'
            )
        top += 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="780" height="{top}" '
        f'font-family="sans-serif" font-size="13">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )

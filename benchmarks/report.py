"""Says what was measured: a table, JSON, and a plot."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from . import dispatch, endpoint, footprint, growth, latency, parser

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


_ONE, _HUNDRED = (f"deliveries of {events} answered per second" for events in endpoint.SIZES)
_LARGE, _SMALL = "SQLite, 1,000,000 events", "SQLite, 10,000 events"
TARGETS: Final = (
    Target("204, 1 event, against Flask", _ONE, endpoint.SQLITE, endpoint.PLAIN, least=0.65),
    Target("the same, [fast]", _ONE, endpoint.FAST, endpoint.PLAIN, least=0.65),
    Target("204, 100 events, against Flask", _HUNDRED, endpoint.SQLITE, endpoint.PLAIN, least=0.65),
    Target("the same, [fast]", _HUNDRED, endpoint.FAST, endpoint.PLAIN, least=1.0),
    Target("204, 100 events, against FastAPI", _HUNDRED, endpoint.SQLITE, endpoint.SDK, least=1.5),
    Target("the same, [fast]", _HUNDRED, endpoint.FAST, endpoint.SDK, least=1.5),
    Target("p99 of the 204, ms", latency.ITEM, "SQLite, p99", None, most=100),
    Target("slowest 204, ms", latency.ITEM, "SQLite, max", None, most=1000),
    Target("parse, against the SDK", parser.ITEM, parser.OURS, parser.SDK, most=0.5),
    Target("dispatch, against Celery", dispatch.ITEM, dispatch.SQLITE, dispatch.CELERY, least=2),
    Target("the same, solo pool", dispatch.ITEM, dispatch.SQLITE, dispatch.CELERY_SOLO, least=2),
    Target("store, 1M against 10k events", growth.STORE, _LARGE, _SMALL, most=1.3),
    Target("claim, 1M against 10k events", growth.CLAIM, _LARGE, _SMALL, most=1.3),
    Target("import, ms", footprint.IMPORT, footprint.OURS, None, most=60),
    Target(
        "worker's memory, 100k against 1k events",
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


def report(figures: Figures, described: dict[str, Any], folder: Path | None) -> None:
    """Print the tables, and write them, all figures and a plot into a folder."""
    text = "\n".join([*_tables(figures), *_targets(figures)])
    sys.stdout.write(f"\n{text}\n")
    if folder is None:
        return
    folder.mkdir(exist_ok=True)
    document = {"machine": described, "figures": _summary(figures), "targets": _judged(figures)}
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    heading = ", ".join(f"{key} {value}" for key, value in described.items())
    (folder / "results.md").write_text(f"{heading}\n\n{text}\n", encoding="utf-8")
    if _HUNDRED in figures.values:
        (folder / "endpoint.svg").write_text(_plot(figures), encoding="utf-8")


def _summary(figures: Figures) -> dict[str, Any]:
    return {
        item: {
            name: {"median": figures.median(item, name), "least": min(each), "greatest": max(each),
                   "rounds": len(each)}
            for name, each in contenders.items()
        }
        for item, contenders in figures.values.items()
    }  # fmt: skip


def _tables(figures: Figures) -> list[str]:
    """Return a table for each item: medians and spread, and ratios to what people would use instead."""
    lines = []
    for item, contenders in figures.values.items():
        to = _BASES.get(item, next(iter(contenders)))
        to = to if to in contenders else next(iter(contenders))
        lines += [
            f"| {item} | median | least to greatest | x | spread of x |",
            "|---|--:|--:|--:|--:|",
        ]
        for name, each in contenders.items():
            ratio = figures.ratio(item, name, to)
            lines.append(
                f"| {name} | {figures.median(item, name):,.4g} | {min(each):,.4g} to {max(each):,.4g} "
                f"| {ratio.median:.2f} | {ratio.least:.2f} to {ratio.greatest:.2f} |"
            )
        lines.append("")
    return lines


_BASES: Final = {
    _ONE: endpoint.PLAIN,
    _HUNDRED: endpoint.PLAIN,
    dispatch.ITEM: dispatch.CELERY,
    parser.ITEM: parser.SDK,
}


def _judged(figures: Figures) -> list[dict[str, Any]]:
    """Return the targets with what was measured, those that were measured."""
    judged = []
    for target in TARGETS:
        contenders = figures.values.get(target.item, {})
        if not {target.contender, target.to or target.contender} <= contenders.keys():
            continue
        if target.to is None:
            value = figures.median(target.item, target.contender)
        else:
            value = figures.ratio(target.item, target.contender, target.to).median
        met = value >= (target.least or value) and value <= (target.most or value)
        judged.append({**asdict(target), "measured": value, "met": met})
    return judged


def _targets(figures: Figures) -> list[str]:
    lines = ["| target | wanted | measured | |", "|---|--:|--:|---|"]
    for target in _judged(figures):
        wanted = f">= {target['least']:g}" if target["least"] else f"<= {target['most']:g}"
        met = "met" if target["met"] else "missed"
        lines.append(f"| {target['what']} | {wanted} | {target['measured']:.3g} | {met} |")
    return lines


def _plot(figures: Figures) -> str:
    """Return bars: the answers per second of everybody, as multiples of the plain Flask view's."""
    rows = []
    top = 24
    for item in (_ONE, _HUNDRED):
        rows.append(f'<text x="0" y="{top}" font-weight="bold">{escape(item)}, multiples</text>')
        for name in figures.values[item]:
            top += 22
            ratio = figures.ratio(item, name, endpoint.PLAIN).median
            colour = "#2563eb" if name.startswith("okta_hooks") else "#9ca3af"
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

"""Plays many histories on both kinds of database, until so many steps are done: ``make model STEPS=1000000``.

What it finds is printed with the seed that brings it back: ``make model SEED=...``.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import sys
import time

from .many import folder, new_database, play_one, run, server
from .model import Bench


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="on each kind of database")
    parser.add_argument("--seed", type=int, help="play this history alone, and tell each step")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first seed")
    parser.add_argument("--database", choices=["SQLite", "PostgreSQL"], default="SQLite")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    given = parser.parse_args()
    with server() as engine, folder() as place:
        if given.seed is None:
            print(f"The first seed is {given.first}.")
            return run(given.steps, given.first, given.jobs, engine)
        is_sqlite = given.database == "SQLite"
        bench = Bench(f"sqlite:///{place}/inbox.sqlite3" if is_sqlite else new_database(engine))
        try:
            played = play_one(bench, given.database, given.seed, is_told=True)
        finally:
            bench.close()
        print(played.violation or "Nothing is wrong with it.")
        return 1 if played.violation else 0


if __name__ == "__main__":
    sys.exit(main())

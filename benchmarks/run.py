"""Run the benchmarks and print their figures with their spread.

    python benchmarks/run.py [--only NAME ...] [--rounds 5] [--json FILE] [--pictures DIRECTORY]

Installs nothing, and says what to install for the peers that are missing. Every figure is the median
of alternating rounds; what each benchmark does not measure is said in its own file. What
``--json`` writes, ``benchmarks/results.py`` turns into the tables of docs/performance.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import sys
from pathlib import Path

from machine import machine
from peers import versions

# The wire benchmark starts servers as the tests do.
sys.path.append(str(Path(__file__).resolve().parents[1]))

NAMES = (
    "concurrency",
    "runtime",
    "replay",
    "growth",
    "waiting",
    "import",
    "serde",
    "peers",
    "wire",
    "http",
    "workers",
)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="durable_trio's benchmarks")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--pictures", type=Path, help="draw pictures into this directory")
    options = parser.parse_args()
    about = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions(),
    }
    results: dict[str, dict[str, object]] = {}
    print(f"{about['machine']}, {options.rounds} rounds")
    for name in options.only:
        print(f"\n{name}")
        module = importlib.import_module(f"bench_{name}")
        figures = module.measure(options.rounds)
        if options.pictures is not None and hasattr(module, "picture"):
            picture = options.pictures / f"{name}.svg"
            picture.write_text(module.picture(figures), "utf-8")
        for figure in figures:
            print(f"  {figure}")
        results[name] = {
            "command": f"benchmarks/run.py --only {name} --rounds {options.rounds}",
            **about,
            "figures": {figure.name: [figure.unit, *figure.values] for figure in figures},
        }
        # After each, since the next one may take an hour.
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

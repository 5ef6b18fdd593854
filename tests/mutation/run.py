"""Shows that the tests notice deliberate bugs: ``python -m tests.mutation.run [WORD ...]``.

Owns running the mutants of ``mutants.py`` (all of them, or those whose names or files contain
one of the words). It works on a copy of the tree and leaves the tree alone.

 1. One bug is put in, and its tests are run until the first one fails. Caught is what a test
    failed on, by an assertion or exception in the test itself; a module that cannot be
    imported, a fixture that breaks or an interrupted run is no catch.
 2. In the end the tests that caught something are run without any bug: all have to pass.
 3. Mutants that survive are listed, and make the exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import attrs

from .mutants import MUTANTS, ROOT, Mutant

if TYPE_CHECKING:
    from collections.abc import Sequence

_COPIED: Final = ("durable_trio", "adapters", "tests", "docs", "pyproject.toml")
_PATIENCE: Final = 120
"""Seconds that the tests of one mutant may take: a bug may make them wait for ever, and is not
caught by that."""


@attrs.frozen
class Verdict:
    """What became of one mutant. ``by``: the test that noticed it, empty if none has."""

    mutant: Mutant
    by: str
    seconds: float
    detail: str


class Workplace:
    """A copy of the tree, in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(source, folder / name, ignore=ignore)
            else:
                shutil.copy(source, folder / name)

    def check(self, mutant: Mutant) -> Verdict:
        """Put the bug in, run its tests, and take it out again."""
        path = self._folder / mutant.file
        source = path.read_text("utf-8")
        began = time.monotonic()
        try:
            _write(path, mutant.apply(source))
            _, failed, output = self.test(mutant.tests)
        finally:
            _write(path, source)
        return Verdict(mutant, failed, time.monotonic() - began, output)

    def test(self, tests: Sequence[str]) -> tuple[int, str, str]:
        """Run tests: pytest's exit status, the first test whose call failed, and the output."""
        report = self._folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "--no-header"]
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1", *tests]
        path = os.pathsep.join([str(self._folder), str(self._folder / "adapters")])
        try:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return -1, "", f"the tests have not ended after {_PATIENCE} s"

        failed = _first_failure(report) if done.returncode == 1 else ""
        return done.returncode, failed, done.stdout[-4000:] + done.stderr[-2000:]


def _write(path: Path, source: str) -> None:
    # Two versions of one second and size look the same to the cache of compiled modules.
    Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
    path.write_text(source, "utf-8")


def _first_failure(report: Path) -> str:
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None:
            file, name = case.get("file", ""), case.get("name", "")
            module = file.removesuffix(".py").replace("/", ".")
            owner = case.get("classname", "").removeprefix(module).strip(".")
            return "::".join(part for part in (file, owner, name) if part)

    return ""


def run(chosen: Sequence[Mutant], jobs: int) -> int:
    """Check the mutants; the exit status."""
    with tempfile.TemporaryDirectory() as temporary:
        places: SimpleQueue[Workplace] = SimpleQueue()
        for number in range(jobs):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            places.put(Workplace(folder))

        def check(mutant: Mutant) -> Verdict:
            place = places.get()
            try:
                return place.check(mutant)
            finally:
                places.put(place)

        with ThreadPoolExecutor(jobs) as pool:
            verdicts: list[Verdict] = []
            for verdict in pool.map(check, chosen):
                verdicts.append(verdict)
                by = f"caught by {verdict.by}" if verdict.by else "SURVIVED"
                print(f"{verdict.seconds:5.1f} s  {verdict.mutant.name}: {by}", flush=True)
        caught = sorted({verdict.by for verdict in verdicts if verdict.by})
        status, _, output = places.get().test(caught) if caught else (0, "", "")
        if status:
            print(output, "a test that caught a bug fails without it, too", sep="\n")
            return 2

    survivors = [verdict for verdict in verdicts if not verdict.by]
    for verdict in survivors:
        print(f"\n== survived: {verdict.mutant.name}\n{verdict.detail}")
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} mutants caught")
    return 1 if survivors else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="parts of the names or files of mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--tests", nargs="+", help="run these instead of the ones of the table")
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not options.words
        or any(word in mutant.name or word in mutant.file for word in options.words)
    ]
    if options.tests:
        chosen = [attrs.evolve(mutant, tests=tuple(options.tests)) for mutant in chosen]
    if not chosen:
        print(f"no mutant of that name: {options.words}")
        return 2

    return run(chosen, options.jobs)


if __name__ == "__main__":
    sys.exit(main())

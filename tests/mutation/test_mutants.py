"""The deliberate bugs of ``mutants.py`` still fit the sources; ``run.py`` shows who notices them."""

from __future__ import annotations

import ast

import pytest

from .mutants import MUTANTS, ROOT, Mutant

IDS = [mutant.name for mutant in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=IDS)
def test_a_mutant_changes_its_source_and_can_be_compiled(mutant: Mutant) -> None:
    """Its text is there exactly once, and what takes its place is Python."""
    source = (ROOT / mutant.file).read_text("utf-8")
    changed = mutant.apply(source)

    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_every_mutant_has_a_name_of_its_own_and_tests_that_exist() -> None:
    """There are many of them, in every part of the machine."""
    assert len(set(IDS)) == len(IDS) >= 40
    for mutant in MUTANTS:
        assert mutant.tests
        for test in mutant.tests:
            file, _, function = test.partition("::")
            assert f"def {function}" in (ROOT / file).read_text("utf-8"), test


def test_a_mutant_that_does_not_fit_says_so() -> None:
    """Its text is gone, or there are two of it."""
    mutant = MUTANTS[0]

    for source in ("", mutant.old * 2):
        with pytest.raises(ValueError, match="does not fit any more"):
            mutant.apply(source)

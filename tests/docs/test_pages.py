"""What the pages show is what runs."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INCLUDE = runpy.run_path(str(ROOT / "docs" / "include_examples.py"))
GUIDES = sorted((ROOT / "docs" / "examples").glob("guide_*.py"))
PRINTED = {
    "guide_services": "order A-17: 1800 paid",
    "guide_steps": "402 visa has a limit",
    "guide_concurrency": "not printed: nothing to draw",
    "guide_cancellation": "409 cancelled ['hotel booked', 'flight booked']",
    "guide_events": "approved\nAda",
}


@pytest.mark.parametrize("page", INCLUDE["pages"](), ids=lambda page: page.name)
def test_blocks_are_those_of_the_examples(page: Path) -> None:
    """Run ``python docs/include_examples.py`` when this fails."""
    assert INCLUDE["filled"](page) == page.read_text("utf-8")


@pytest.mark.parametrize("example", GUIDES, ids=lambda path: path.stem)
def test_a_guide_example_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a script, and it ends with what the guide says."""
    runpy.run_path(str(example), run_name="__main__")

    assert capsys.readouterr().out.strip().endswith(PRINTED[example.stem])


def test_the_readme_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice: the second time the same invocation is asked for its result."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path(str(ROOT / "docs" / "examples" / "readme.py"), run_name="__main__")

    assert capsys.readouterr().out == "['Hello Ada!', 'Hello Grace!']\n" * 2

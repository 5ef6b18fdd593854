"""The example of the page on changing code, as a project of its own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from durable_trio._cli._app import app

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "guide_golden.py"


def test_the_steps_of_the_page(pytester: pytest.Pytester) -> None:
    """Record, check with pytest and without, change the code, and see both tell it."""
    module = pytester.path / "test_parcels.py"
    shutil.copy(EXAMPLE, module)
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    check = ["check", str(pytester.path / "golden"), f"{module}:services"]

    pytester.runpytest_inprocess("--durable-update-goldens").assert_outcomes(passed=2)
    pytester.runpytest_inprocess().assert_outcomes(passed=2)
    clean = CliRunner().invoke(app, check)
    assert (0, "2 journals replay cleanly\n") == (clean.exit_code, clean.stdout)

    # The command has imported it into this process.
    del sys.modules[module.stem]
    text = module.read_text("utf-8")
    module.write_text(text.replace("return await ctx.run(drive", "return await ctx.run(pack"))
    pytester.runpytest_inprocess("-k", "test_ship_wherever").assert_outcomes(failed=1)
    broken = CliRunner().invoke(app, check)
    assert 1 == broken.exit_code
    assert "+ Run('pack', completion_id=2)  (the code now)" in broken.stdout
    assert broken.stdout.endswith("2 of 2 journals break: 2 diverged\n")

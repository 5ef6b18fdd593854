"""What importing costs: libraries that a program has no use for are not loaded."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("durable_trio", {"trio", "asyncio", "httpx", "h11", "h2", "click", "rich", "sqlite3"}),
        ("durable_trio_restate", {"trio", "httpx", "h11", "h2", "click", "jwt", "cryptography"}),
    ],
)
def test_what_is_not_needed_is_not_imported(module: str, unwanted: set[str]) -> None:
    """Clients, servers, commands and the proof of identity load their libraries when used."""
    script = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert set() == unwanted & set(result.stdout.split())

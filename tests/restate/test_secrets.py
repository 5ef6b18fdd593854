"""Values that are encoded differently each time, on a server that has every await replayed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from .conftest import ONE_WORKER
from .served import serving

if TYPE_CHECKING:
    from .conftest import Servers

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "guide_secrets.py"


@ONE_WORKER
def test_encrypted_values(backend: str, servers: Servers) -> None:
    """Their bytes are not compared, and no journal has them in clear."""
    example: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    server = servers({})

    async def main() -> None:
        async with serving(server, *example["services"], http_11=True) as served:
            assert await served.ingress.call(example["visit"], "Ada") == "Ada is well. "
            await served.until_quiet()
            rows = await served.admin.query("SELECT raw FROM sys_journal WHERE raw IS NOT NULL")
            assert rows
            assert b"Ada".hex() not in "".join(str(row["raw"]) for row in rows)
            await served.admin.set_state("File", "17", {})

    anyio.run(main, backend=backend)
    server.until("SELECT count(*) AS n FROM state WHERE service_name = 'File'", [{"n": 0}])

"""The page on serving says what is so: its example, its options, its limits."""

from __future__ import annotations

import importlib
import re
import ssl
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.streams.tls
import attrs
import pytest

from durable_trio._cli._serve import serve as serve_command
from durable_trio_restate import ServerLimits
from tests.serve.certificate import write_certificate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide" / "serving.md").read_text("utf-8")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example, imported."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs" / "examples"), *sys.path])
    yield importlib.import_module("serving")
    del sys.modules["serving"]


def test_the_example(example: Any, backend: str, tmp_path: Path) -> None:
    """It serves over TLS until it is told to stop."""
    certificate, _key = write_certificate(tmp_path)
    path = tmp_path / "socket"

    async def main() -> None:
        stop = anyio.Event()

        async def ask() -> None:
            context = ssl.create_default_context(cafile=str(certificate))
            stream = await anyio.streams.tls.TLSStream.wrap(
                await anyio.connect_unix(path),
                hostname="127.0.0.1",
                ssl_context=context,
                standard_compatible=False,
            )
            async with stream:
                await stream.send(b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n")
                assert (b"".join([piece async for piece in stream])).endswith(b"ok")
            stop.set()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                await example.main(
                    tmp_path, f"unix:{path}", stop.wait, lambda: group.start_soon(ask)
                )

    anyio.run(main, backend=backend)


def test_every_option_is_there() -> None:
    """Each option of the command is in the table."""
    for parameter in serve_command.params:
        for name in parameter.opts:
            assert not name.startswith("--") or f"`{name}" in PAGE, name


def test_every_limit_is_there() -> None:
    """Each limit is in the table, with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", PAGE, re.MULTILINE))
    limits = ServerLimits()

    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == {
        field.name: getattr(limits, field.name) for field in attrs.fields(ServerLimits)
    }

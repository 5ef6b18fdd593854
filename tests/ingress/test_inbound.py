"""Reading ahead."""

from __future__ import annotations

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from durable_trio.local.http._inbound import CHUNK, Inbound


class Talker(anyio.abc.ByteReceiveStream):
    """A client that sends so many chunks, as fast as it is read, and then the end."""

    def __init__(self, chunks: int, size: int = CHUNK, *, broken: bool = False) -> None:
        self.chunks, self.size, self.broken = chunks, size, broken
        self.read = 0

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self.read == self.chunks:
            raise anyio.BrokenResourceError if self.broken else anyio.EndOfStream

        self.read += 1
        return b"x" * min(self.size, max_bytes)

    async def aclose(self) -> None:
        """Nothing to close."""


def test_a_client_is_not_read_much_further_than_needed(backend: str) -> None:
    """What is not taken is not read, and what is taken makes room for more."""

    async def main() -> None:
        talker = Talker(chunks=50)
        inbound = Inbound(talker, lambda: None)
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inbound.run)
            for _ in range(3):
                await anyio.wait_all_tasks_blocked()
                counts.append(talker.read)
                await inbound.receive()
            while await inbound.receive():
                pass

        assert [1, 2, 3] == counts
        assert 50 == talker.read

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("broken", [False, True])
def test_the_end_is_noticed_while_nobody_reads(backend: str, broken: bool) -> None:
    """And whether the client can still read is known."""

    async def main() -> None:
        ends: list[bool] = []
        inbound = Inbound(Talker(2, size=10, broken=broken), lambda: ends.append(True))
        await inbound.run()

        assert [True] == ends
        assert (True, broken, False) == (inbound.ended, inbound.broken, inbound.empty)
        assert [b"x" * 10, b"x" * 10, b""] == [await inbound.receive() for _ in range(3)]

    anyio.run(main, backend=backend)

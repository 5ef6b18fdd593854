"""SIGKILL at any moment: every acknowledged batch is there, and only whole batches are."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import abc
from durable_trio_file import FileJournal

from .journals import line, numbers, python

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """
    import sys, anyio
    from durable_trio import abc
    from durable_trio_file import FileJournal

    async def main(first):
        async with FileJournal(sys.argv[1]) as store, anyio.create_task_group() as tasks:

            async def write(lane):
                number = first
                while True:
                    durable = anyio.Event()
                    batch = str(number).encode()
                    store.write([abc.PutState("s", lane, "began", batch)], urgent=False)
                    store.write(
                        [
                            abc.AppendEntries(f"inv_{lane}", (abc.Run(number), abc.Run(number))),
                            abc.PutState("s", lane, "one", batch),
                            abc.PutTimer(
                                abc.Timer(float(number), f"inv_{lane}", abc.TimerKind.SLEEP, 1)
                            ),
                            abc.AppendEntries(f"inv_{lane}", (abc.Run(number),)),
                            abc.PutState("s", lane, "two", batch),
                        ],
                        durable.set,
                    )
                    await durable.wait()
                    print(lane, number, flush=True)
                    number += 1

            for lane in "abc":
                tasks.start_soon(write, lane)

    anyio.run(main, int(sys.argv[2]), backend=sys.argv[3])
"""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_acknowledged_batches_survive_and_are_whole(backend: str, tmp_path: Path) -> None:
    """Killed again and again after some acknowledgements, nothing acknowledged is missing."""
    path = tmp_path / "a.journal"
    first = 1
    for patience in (0, 1, 2, 7, 40, 150):
        acknowledged = dict.fromkeys("abc", first - 1)
        with python(WRITE, path, first, backend) as child:
            for _ in range(patience):
                lane, number = line(child).split()
                acknowledged[lane] = int(number)
            child.send_signal(signal.SIGKILL)
            assert child.stdout is not None
            for rest in child.stdout.read().split("\n")[:-1]:
                lane, number = rest.split()
                acknowledged[lane] = int(number)
        first = 1 + anyio.run(check, path, acknowledged)


async def check(path: Path, acknowledged: dict[str, int]) -> int:
    """The highest batch that any lane has."""
    last = 0
    async with FileJournal(path) as store:
        for lane, number in acknowledged.items():
            journal = await numbers(store, lane)
            state = await store.state("s", lane)
            batches = sorted(set(journal))
            assert [batch for batch in batches for _ in range(3)] == journal
            assert state.get("one") == state.get("two")
            newest = int(state.get("two", b"0"))
            assert newest == (batches[-1] if batches else 0)
            assert newest >= number
            assert int(state.get("began", b"0")) >= newest
            last = max(last, newest)
        timers = await store.timers(due_by=1e9, limit=9)
        assert len(timers) <= len(acknowledged)
        for timer in timers:
            lane = timer.invocation_id.removeprefix("inv_")
            assert timer == abc.Timer(
                float((await store.state("s", lane))["two"]), f"inv_{lane}", abc.TimerKind.SLEEP, 1
            )
    return last

"""For the guide: a runtime with its options, an HTTP ingress, and what an operator does."""

from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from durable_trio import Context, InvocationRetryPolicy, Service, ServiceOptions
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio_file import FileJournal, FileJournalReader

reports = Service("Reports")
services = [reports]


@reports.handler
async def nightly(ctx: Context) -> str:
    return await ctx.signal("data", str)


DEFAULTS = ServiceOptions(
    retry_policy=InvocationRetryPolicy(max_interval=30, max_attempts=20),
    journal_retention=7 * 24 * 3600,
)


async def serve(path: Path, task_status: trio.TaskStatus[LocalRuntime]) -> None:
    journal = FileJournal(path)
    async with (
        LocalRuntime(services, journal, defaults=DEFAULTS, shutdown_grace=30) as runtime,
        HttpIngress(runtime, port=0),
    ):
        task_status.started(runtime)
        await trio.sleep_forever()


def paused(path: Path) -> list[str]:
    """Works while the journal is served, and afterwards."""
    with FileJournalReader(path) as journal:
        records = journal.invocations(status=frozenset({InvocationStatus.PAUSED}))
    return [record.id for record in records]


async def operate(runtime: LocalRuntime, path: Path) -> str:
    report = await runtime.send(nightly, idempotency_key="2030-01-31")
    await runtime.pause(report.invocation_id)
    assert paused(path) == [report.invocation_id]
    await runtime.resume(report.invocation_id)
    await runtime.resolve_signal(report.invocation_id, "data", "all quiet")
    return await runtime.attach(report.invocation_id, str)


async def main() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "reports.journal")
        async with trio.open_nursery() as nursery:
            runtime = await nursery.start(serve, path)
            print(await operate(runtime, path))
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)

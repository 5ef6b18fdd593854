"""What is the host's and not durable in a handler, and what to do instead.

Owns the errors that name it, with its line. Finding it is ``_attempt.py``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._exceptions import ForeignAwaitError, ForeignDeadlineError, UsageError
from ._source import native_context_managers, where
from ._task import TaskState

if TYPE_CHECKING:
    from ._task import DurableTask

_DURABLE_NAMES: Final = {
    "ursery": "durable_trio.open_nursery()",
    "TaskGroup": "durable_trio.open_nursery()",
    "Timeout": "durable_trio.fail_after() or move_on_after()",
    "CancelScope": "durable_trio.move_on_after(), fail_after() or CancelScope()",
}


def foreign_await(task: DurableTask) -> ForeignAwaitError:
    """A task waits for something of the host's."""
    return ForeignAwaitError(
        f"{where(task.coroutine)}: something that is not durable was awaited in a handler. No "
        "journal records it, so a replay would see another order of events. Do it inside "
        "`await ctx.run(...)`; for waiting use durable_trio's sleep, Event, open_nursery or a "
        "channel."
    )


def foreign_deadline(task: DurableTask) -> ForeignDeadlineError | ForeignAwaitError:
    """A task waits, or has ended, inside of a scope, timeout or nursery of the host's."""
    managers = native_context_managers(task.coroutine)
    names = [_native_name(manager) for manager in managers] or ["a native cancel scope"]
    known = [_DURABLE_NAMES[key] for key in _DURABLE_NAMES if any(key in name for name in names)]
    nursery = any("ursery" in name or "TaskGroup" in name for name in names)
    kind = ForeignAwaitError if nursery else ForeignDeadlineError
    what = "this task has ended" if task.state is TaskState.ENDED else "this durable wait is"
    return kind(
        f"{where(task.coroutine)}: {what} inside {', '.join(names)}. The host's "
        "scopes and timeouts depend on the wall clock and on no journal. Use "
        f"{' or '.join(known) or 'the durable scope of the same name'} instead, or move the "
        "block into `await ctx.run(...)`."
    )


def foreign_cancellation(task: DurableTask) -> UsageError:
    """A task has cancelled the host task that it shares with all others."""
    what = "this task has ended" if task.state is TaskState.ENDED else "this wait comes"
    return UsageError(
        f"{where(task.coroutine)}: {what} after `asyncio.current_task().cancel()`, or the like, was "
        "called in a handler. All of its branches run in that one task. Use durable_trio's "
        "CancelScope.cancel() or the cancel() of what start_soon() returned; to end the handler "
        "raise TerminalError."
    )


def _native_name(manager: object) -> str:
    generator = getattr(manager, "gen", None)
    if generator is not None:
        name = getattr(generator, "__qualname__", "a native context manager")
        return f"{name}()"

    kind = type(manager)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"

"""The bodies of runs: side effects, executed as host tasks beside the driver.

Owns starting, retrying and aborting bodies. That a run exists, and what its result
ends, is the ledger's.

 1. A body starts when the attempt first becomes quiescent with nothing left to replay,
    in command order; never if its result is recorded or its future has ended (S7).
 2. A failing body is retried in place while its siblings go on. Only a terminal error,
    success, or a used-up policy proposes a result.
 3. When all that executes are bodies in a long backoff, ``long_backoff`` tells the
    delay: the attempt may end and leave the waiting to the runtime.
 4. Cancelling a run's future aborts its body for real. A thread's work cannot be
    aborted: it is abandoned and its result dropped.
"""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import attrs

from ._exceptions import RetryableError, TerminalError, UsageError
from ._journal._entries import Failure, Value
from ._task import RunBodyMarker, current

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from ._future import DurableFuture
    from ._invocation import InvocationStart
    from ._options import RunContextFactory
    from ._retry import RetryPolicy
    from .abc import Clock, Journal, Serde

LONG_BACKOFF: Final = 10.0
"""Seconds; a longer backoff is worth ending the attempt for when nothing else executes."""


@attrs.define(eq=False)
class RunBody:
    """One run's body: what to call, and how."""

    completion_id: int
    command_index: int
    name: str
    future: DurableFuture[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    policy: RetryPolicy
    serde: Serde[Any]
    in_thread: bool
    context: contextvars.Context
    scope: anyio.CancelScope | None = None
    wakes_at: float | None = None
    """While it backs off: when it tries again."""


class Bodies:
    """The bodies of one attempt. ``fail`` ends the attempt; ``quiesce`` wakes its driver."""

    __slots__ = (
        "_clock",
        "_contexts",
        "_executing",
        "_fail",
        "_first",
        "_group",
        "_journal",
        "_pending",
        "_start",
        "_wake",
    )

    def __init__(
        self,
        start: InvocationStart,
        journal: Journal,
        clock: Clock,
        contexts: tuple[RunContextFactory, ...],
        fail: Callable[[BaseException], None],
        wake: Callable[[], None],
    ) -> None:
        self._start = start
        self._journal = journal
        self._clock = clock
        self._contexts = contexts
        self._fail = fail
        self._wake = wake
        self._group: TaskGroup | None = None
        self._pending: dict[RunBody, None] = {}
        self._executing: dict[RunBody, None] = {}
        self._first = True

    def open(self, group: TaskGroup) -> None:
        """Bodies run in this task group from now on."""
        self._group = group

    def add(self, body: RunBody) -> None:
        """Start it at the next quiescence."""
        self._pending[body] = None

    def abort(self, body: RunBody) -> None:
        """Its future was cancelled."""
        self._pending.pop(body, None)
        if body.scope is not None:
            body.scope.cancel()

    @property
    def executing(self) -> bool:
        """Whether any body is at work or backs off."""
        return bool(self._executing)

    def long_backoff(self) -> tuple[float, RunBody] | None:
        """The earliest retry, if all that executes backs off for long; None otherwise."""
        if not self._executing:
            return None

        now = self._clock.now()
        waits = [(body.wakes_at - now, body) for body in self._executing if body.wakes_at]
        if len(waits) < len(self._executing):
            return None

        delay, body = min(waits, key=lambda wait: wait[0])
        return (delay, body) if delay > LONG_BACKOFF else None

    def start_pending(self) -> None:
        """Start every body that waits, in command order."""
        if not self._pending:
            return

        pending, self._pending = self._pending, {}
        assert self._group is not None
        for body in pending:
            self._executing[body] = None
            body.context.run(self._group.start_soon, self._execute, body)

    async def _execute(self, body: RunBody) -> None:
        current.set(RunBodyMarker(body.name))
        scope = body.scope = anyio.CancelScope()
        try:
            with scope:
                result = await self._result(body)
                if result is not None and not scope.cancel_called:
                    self._journal.propose(body.completion_id, result)
        finally:
            self._executing.pop(body, None)
            self._wake()

    async def _result(self, body: RunBody) -> Value | Failure | None:
        retries, elapsed = 0, 0.0
        if self._first:
            # The retries that earlier attempts spent on what is now the first new entry.
            self._first = False
            retries, elapsed = self._start.retry_count, self._start.retry_elapsed
        while True:
            began = self._clock.now()
            try:
                return Value(body.serde.serialize(await self._call(body)))
            except TerminalError as error:
                return failure_of(error)
            except UsageError as error:
                self._fail(error)
                return None
            except Exception as error:  # noqa: BLE001  # any other error of a body is retried
                retries += 1
                elapsed += max(0.0, self._clock.now() - began)
                if body.policy.exhausted(retries, elapsed):
                    return Failure(500, f"{type(error).__name__}: {error}")

                delay = body.policy.delay(retries)
                if isinstance(error, RetryableError) and error.retry_after is not None:
                    delay = error.retry_after
            body.wakes_at = self._clock.now() + delay
            if delay > LONG_BACKOFF:
                self._wake()
            await self._clock.sleep_until(body.wakes_at)
            elapsed += delay
            body.wakes_at = None

    async def _call(self, body: RunBody) -> Any:
        if not self._contexts:
            return await _invoke(body)

        async with AsyncExitStack() as stack:
            for factory in self._contexts:
                await stack.enter_async_context(factory(body.name))
            return await _invoke(body)
        raise AssertionError("a run context swallowed the body's error")


async def _invoke(body: RunBody) -> Any:
    if body.in_thread:
        value = await anyio.to_thread.run_sync(body.function, *body.args, abandon_on_cancel=True)
    else:
        value = body.function(*body.args)
    return await value if inspect.isawaitable(value) else value


def failure_of(error: TerminalError) -> Failure:
    """An error as data: what the journal keeps of it."""
    return Failure(error.code, error.message, tuple(error.metadata.items()))

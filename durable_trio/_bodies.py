"""The bodies of runs: side effects, executed as host tasks beside the driver.

Owns starting, retrying and aborting bodies. That a run exists, and what its result
ends, is the ledger's; in which host task a body executes, ``_workers.py``'s.

 1. A body starts when the attempt first becomes quiescent with nothing left to replay,
    in command order; never if its result is recorded or its future has ended (S7).
 2. A failing body is retried in place while its siblings go on. Only a terminal error,
    success, or a used-up policy proposes a result.
 3. When all that executes are bodies in a long backoff, and no result is on its way,
    ``long_backoff`` tells the delay: the attempt may end and leave the waiting to the runtime.
 4. While they are ``held`` no body starts: a replay that is to do nothing.
 5. Cancelling a run's future aborts its body for real. A thread's work cannot be
    aborted: it is abandoned and its result dropped.
 6. Bodies share host tasks, so each gives its own back as it was: what it entered and did not
    leave is left for it, and fails the attempt. A cancelled exception that is not from an
    abort is a failure of the body, and never reaches the host.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, cast

import anyio.to_thread
import attrs

from ._exceptions import RetryableError, SerializationError, TerminalError, UsageError
from ._failures import described, failure, failure_of
from ._journal._entries import Completion, Failure, Signal, Value
from ._mistakes import mistake_in_step
from ._outcome import retry_after
from ._run import RunInfo
from ._scheduler import is_fatal
from ._source import defined_at, exc_info, raised_at
from ._task import current
from ._workers import Workers

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from ._future import DurableFuture
    from ._host import Host, HostScope, TaskGroup
    from ._invocation import InvocationStart
    from ._options import ErrorMapping, RunContextFactory
    from ._retry import RetryPolicy
    from .abc import Clock, Journal, Serde

_log = logging.getLogger("durable_trio")

LONG_BACKOFF: Final = 10.0
"""Seconds; a longer backoff is worth ending the attempt for when nothing else executes."""


@attrs.define(eq=False)
class RunBody:
    """One run's body: what to call, and how."""

    bodies: Bodies
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
    """The body's own, as it was when the run was started."""
    inline: bool
    """A plain function that does not block: it needs no task of its own."""
    scope: HostScope | None = None
    """That of the host task in which it executes; None before and after."""
    raised: Exception | None = None
    """What its first try, inline, has raised."""
    error: Exception | None = None
    """What its last try failed with."""
    retries: int = 0
    """How often it has failed."""
    elapsed: float = 0.0
    """For how long it has been tried, in seconds."""

    @property
    def over(self) -> bool:
        """Whether nobody takes its result any more: it was cancelled, or the attempt has ended."""
        future = self.future
        return not future._open or future._scheduler.closed

    def abort(self) -> None:
        """Its future was cancelled."""
        self.bodies.abort(self)


class Bodies:
    """The bodies of one attempt.

    ``fail`` ends the attempt, ``wake`` wakes its driver, and ``line`` tells where the branch of an
    entry's name waits.
    """

    __slots__ = (
        "_backing_off",
        "_clock",
        "_contexts",
        "_executing",
        "_fail",
        "_first",
        "_journal",
        "_line",
        "_mapping",
        "_pending",
        "_proposed",
        "_start",
        "_wake",
        "_workers",
        "closing",
        "held",
        "host",
        "requested",
        "requests",
        "starved",
    )

    def __init__(
        self,
        start: InvocationStart,
        journal: Journal,
        clock: Clock,
        contexts: tuple[RunContextFactory, ...],
        mapping: ErrorMapping | None,
        line: Callable[[str], str],
        fail: Callable[[BaseException], None],
        wake: Callable[[], None],
    ) -> None:
        self._start = start
        self._journal = journal
        self._clock = clock
        self._contexts = contexts
        self._mapping = mapping
        self._line = line
        self._fail = fail
        self._wake = wake
        self._workers: Workers | None = None
        self.host: Host
        self.requests: Callable[[], int]
        """Tells how often the driver's host task was told to cancel itself."""
        self.requested: int
        """How often that was before the handler ran in it."""
        self._pending: dict[RunBody, None] = {}
        self._backing_off: dict[RunBody, float] = {}
        self._executing: dict[RunBody, None] = {}
        self._proposed: deque[RunBody] | None = None
        """Those whose results may not have been delivered yet; None: there are none."""
        self._first = True
        self.closing: bool = False
        """Whether the attempt suspends as soon as nothing executes."""
        self.held: bool = False
        self.starved: bool = False
        """Whether bodies are to be executed and there is no task group yet."""

    @property
    def pending(self) -> tuple[RunBody, ...]:
        """Those that start at the next quiescence, in command order."""
        return tuple(self._pending)

    def watch(self) -> None:
        """From now on the handler runs in this host task, and inline bodies do."""
        self.requests = self.host.request_counter()
        self.requested = self.requests()

    def disturbed(self) -> bool:
        """Whether handler or body has told that host task to cancel itself.

        Others do so while it waits, and it is torn down then.
        """
        return self.requests() > self.requested

    def open(self, group: TaskGroup) -> None:
        """Bodies run in this task group of the host's from now on."""
        assert self._workers is not None
        self.starved = False
        self._workers.open(self.host, group)

    def rest(self) -> None:
        """The driver waits. Unless results are on their way, that may take long."""
        proposed = self._proposed
        while proposed and proposed[0].future.done:
            proposed.popleft()
        if not proposed:
            self._proposed = None
            if self._workers is not None and not self._executing:
                self._workers.dismiss()

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

    @property
    def backing_off(self) -> tuple[int, ...]:
        """The completion ids of those that wait to be tried again."""
        return tuple(body.completion_id for body in self._backing_off)

    def policy(self, completion_id: int) -> RetryPolicy | None:
        """The retry policy of a body that is at work or backs off; None: it is neither."""
        return next(
            (body.policy for body in self._executing if body.completion_id == completion_id), None
        )

    def long_backoff(self) -> tuple[float, RunBody] | None:
        """The earliest retry, if all that executes backs off for long; None otherwise."""
        if not self._backing_off or len(self._backing_off) < len(self._executing):
            return None

        if not all(body.future.done for body in self._proposed or ()):
            return None

        body = min(self._backing_off, key=self._backing_off.__getitem__)
        delay = self._backing_off[body] - self._clock.now()
        return (delay, body) if delay > LONG_BACKOFF else None

    def start_pending(self) -> None:
        """Start every body that waits, in command order."""
        if self.held or not self._pending:
            return

        pending, self._pending = self._pending, {}
        for body in pending:
            if body.over:
                continue  # its result came before it was asked for

            if self._first:
                self._first = False
                self._continue(body)
            if body.inline and not self._contexts:
                body.raised = self._execute_inline(body)
                if body.raised is None:
                    continue

                if isinstance(body.raised, UsageError):
                    self._fail(body.raised)
                    return

            self._executing[body] = None
            if self._workers is None:
                self._workers = Workers(self._execute)
                self.starved = True
            self._workers.submit(body)

    def _continue(self, body: RunBody) -> None:
        """Go on with the tries of earlier attempts: those that failed since its command was recorded.

        Nobody has tried the body of a new command.
        """
        start = self._start
        if start.retry_count:
            recorded = sum(not isinstance(each, Completion | Signal) for each in start.recorded)
            if body.command_index < recorded:
                body.retries, body.elapsed = start.retry_count, start.retry_elapsed

    def _execute_inline(self, body: RunBody) -> Exception | None:
        """A plain function that does not block needs no host task, unless it has to be retried."""
        body.context.run(current.set, self._info(body))
        found = self.host.scopes()
        try:
            try:
                value = body.context.run(body.function, *body.args)
            except BaseException as error:
                self._restore(body, found, error)
                raise
            self._restore(body, found, None)
            if inspect.isawaitable(value):
                return _NotInline(value)

            written = self._written(body, value)
            if self.requests() > self.requested:  # as ``disturbed``, which would be one more call
                return _has_cancelled(body)

            self._propose(body, written)
        except Exception as error:  # handled as any body's error, in its task
            return _has_cancelled(body) if self.disturbed() else error
        except BaseException as error:  # KeyboardInterrupt and its like
            self._fail(error)
        return None

    def _propose(self, body: RunBody, result: Value | Failure) -> None:
        if self._proposed is None:
            self._proposed = deque()
        self._proposed.append(body)
        self._journal.propose(body.completion_id, result)

    async def _execute(self, body: RunBody) -> None:
        try:
            # A native scope lets its task run up to the first checkpoint: look before and after.
            result = None if body.over else await self._result(body, body.raised)
            if result is not None and not body.over:
                self._propose(body, result)
        except BaseException as raised:
            if isinstance(raised, self.host.cancelled_type):
                raise

            if not body.over or is_fatal(raised, self.host.cancelled_type):
                # An error that nothing can be made of: without a result it would be awaited for ever.
                self._fail(raised)
                self._wake()
            else:
                _log.warning("run %s was aborted and failed at that: %r", body.name, raised)
        finally:
            del self._executing[body]
            if body.over or self.closing or self._backing_off:
                # No completion will come that wakes the driver, or it may end the attempt now.
                self._wake()

    async def _result(self, body: RunBody, error: Exception | None) -> Value | Failure | None:
        told = ""
        while True:
            current.set(self._info(body))
            began = self._clock.now()
            try:
                return await self._try(body, error)
            except TerminalError as final:
                return failure_of(final)
            except UsageError as wrong:
                self._fail(wrong)
                self._wake()
                return None
            except Exception as raised:  # any other error of a body is retried
                if body.over:
                    raise

                mistake = None
                if not body.in_thread:
                    mistake = mistake_in_step(raised, self.host.name, body.name)
                if mistake is not None:
                    self._fail(mistake)
                    self._wake()
                    return None

                error = None
                failed, meant = self._mapped(raised)
                if meant is not None:
                    return failure_of(meant)

                body.error = failed
                body.retries += 1
                body.elapsed += max(0.0, self._clock.now() - began)
                if body.policy.exhausted(body.retries, body.elapsed):
                    return failure(500, described(failed))

                asked = retry_after(failed)
                delay = body.policy.delay(body.retries) if asked is None else asked
                start = self._start
                _log.warning(
                    "%s/%s (%s): try %d of the run %r failed: %s; the next one in %.3g s",
                    start.service,
                    start.handler,
                    start.invocation_id,
                    body.retries,
                    body.name,
                    described(failed),
                    delay,
                    # The same failure again and again needs its traceback once.
                    exc_info=exc_info(failed) if described(failed) != told else None,
                )
                told = described(failed)
            await self._back_off(body, delay)
            body.elapsed += delay

    async def _try(self, body: RunBody, error: Exception | None) -> Value:
        host = self.host
        found, requests = host.scopes(), host.request_counter()
        requested = requests()
        value: Value | None = None
        failed: BaseException | None = None
        try:
            value = self._written(body, await self._call(body, error))
        except BaseException as raised:  # judged below, with the host task put in order
            failed = raised
        self._restore(body, found, failed)
        if value is not None and requests() == requested:
            return value

        if not host.is_cancelled(found):
            try:
                await host.take_requests(requested)
            except host.cancelled_type as late:
                failed = failed or late
            failed = self._unbidden(body, failed)
        if failed is not None:
            raise failed

        assert value is not None
        return value

    def _restore(self, body: RunBody, found: object, failed: BaseException | None) -> None:
        """Leave the native scopes that the body has entered and not left."""
        if self.host.scopes() == found:
            return

        self.host.leave(found)
        if failed is None or not is_fatal(failed, self.host.cancelled_type):
            raise UsageError(
                f"{defined_at(body.function)}: the run {body.name!r} has ended inside of a cancel "
                "scope or nursery that was never left, or not in its turn. Enter it with `with` or "
                "`async with`; iterate an async generator that yields inside of one inside of "
                "`async with contextlib.aclosing(...)`."
            ) from failed

    def _unbidden(self, body: RunBody, failed: BaseException | None) -> BaseException | None:
        """What a body has failed with that nobody has aborted: nothing is cancelled then."""
        cancelled = self.host.cancelled_type
        if isinstance(failed, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", failed)
            ours, rest = group.split(cancelled)
            if ours is None:
                return group

            return self._unbidden(body, ours.exceptions[0]) if rest is None else rest

        if not isinstance(failed, cancelled):
            return failed

        error = RetryableError(
            f"{raised_at(failed) or defined_at(body.function)}: the body of the run {body.name!r} "
            f"ended with {type(failed).__name__}, and nobody has cancelled it: something that it "
            "awaited was cancelled, or it has cancelled its own task"
        )
        error.__cause__ = failed
        return error

    def _written(self, body: RunBody, value: object) -> Value:
        try:
            return Value(body.serde.serialize(value))
        except SerializationError as error:
            raise SerializationError(
                f"{self._line(body.name)}: the result of the run {body.name!r}: {error}"
            ) from error

    def _mapped(self, error: Exception) -> tuple[Exception, TerminalError | None]:
        """What an error of a body is: to be retried, or final."""
        if self._mapping is None:
            return error, None

        try:
            return error, self._mapping(error)
        except Exception as problem:  # the mapping's own error is one of the body's
            problem.__context__ = error
            return problem, None

    def _info(self, body: RunBody) -> RunInfo:
        start = self._start
        return RunInfo(
            body.name,
            body.completion_id,
            start.invocation_id,
            start.service,
            start.handler,
            start.key,
            body.retries + 1,
        )

    async def _back_off(self, body: RunBody, delay: float) -> None:
        wakes_at = self._backing_off[body] = self._clock.now() + delay
        try:
            if delay > LONG_BACKOFF:
                self._wake()
            await self._clock.sleep_until(wakes_at)
        except self.host.cancelled_type:
            if self.host.is_cancelled(self.host.scopes()):
                raise
            # Else a timer that an earlier body left behind has hit this task: try again now.
        finally:
            del self._backing_off[body]

    async def _call(self, body: RunBody, error: Exception | None) -> Any:
        if error is not None and not isinstance(error, _NotInline):
            raise error

        if error is None and not self._contexts and not body.in_thread:
            value = body.function(*body.args)
        elif error is not None:
            value = error.awaitable
        else:
            info = self._info(body)
            async with AsyncExitStack() as stack:
                for factory in self._contexts:
                    await stack.enter_async_context(factory(info))
                value = await _invoke(body)
                return await value if inspect.isawaitable(value) else value
            raise UsageError(
                f"one of the `run_contexts` swallowed the error of the run {body.name!r}, which has "
                "no result now. Let the error propagate, or raise another one in its place."
            )

        return await value if inspect.isawaitable(value) else value


def _has_cancelled(body: RunBody) -> UsageError:
    return UsageError(
        f"{defined_at(body.function)}: the run {body.name!r} has cancelled the host task that it "
        "shares with its handler, with `asyncio.current_task().cancel()` or the like. Raise an error "
        "instead."
    )


class _NotInline(Exception):  # never raised: it carries an awaitable to the task
    """A function that was to run inline returned an awaitable."""

    def __init__(self, awaitable: Any) -> None:
        super().__init__()
        self.awaitable = awaitable


async def _invoke(body: RunBody) -> Any:
    if body.in_thread:
        # Boxed, since trio refuses a thread's function that returns a coroutine: a lambda may.
        box = await anyio.to_thread.run_sync(_boxed, body, abandon_on_cancel=True)
        return box[0]

    return body.function(*body.args)


def _boxed(body: RunBody) -> tuple[Any]:
    return (body.function(*body.args),)

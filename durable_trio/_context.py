"""The context: every durable operation a handler can do, by kind of handler.

Owns the public face of the operations. What they journal goes through the ledger; how
they end is the future's.

 1. Operations are hot: the command is journaled when the method is called, in program
    order. Only awaiting gives up the baton.
 2. Values are encoded when the method is called, so that one that cannot be encoded
    fails at the caller's line.
 3. Every operation works only in a durable task of this context's own handler.
 4. What reads a value takes its ``type`` last, what writes one takes it after the value:
    by position or by keyword, and ``Any`` (plain JSON) where it is left out.
"""

from __future__ import annotations

import contextvars
import random
import uuid
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    TypeVarTuple,
    overload,
)

from ._bodies import RunBody
from ._duration import milliseconds, to_seconds
from ._exceptions import SerializationError, UsageError
from ._failures import failure, spelled_out
from ._future import DurableFuture
from ._invocation import awakeable_id
from ._journal._entries import (
    Call,
    ClearAllState,
    ClearState,
    CompleteAwakeable,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetState,
    GetStateKeys,
    Headers,
    IdempotentTarget,
    InvocationId,
    InvocationTarget,
    OneWayCall,
    Run,
    SetState,
    StateKeys,
    Value,
    Void,
    WorkflowTarget,
)
from ._ledger import settle
from ._names import did_you_mean
from ._peer import CallFuture, InvocationHandle, OnCancel, SendHandle
from ._promise import DurablePromise
from ._request import ReplayAwareLogger, Request
from ._retry import RetryPolicy
from ._state import UNKNOWN, StateView
from ._step import ContentDecoder, content_of, step_of
from ._target import Argument, CallTarget, check_key
from ._task import DurableTask, running_task
from .serde import serde_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ._attempt import Attempt
    from ._duration import Duration
    from ._journal._entries import Input
    from .abc import Serde

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
PosArgs = TypeVarTuple("PosArgs")

_DEFAULT_RETRY = RetryPolicy()
_NO_SEND = "use a shorter delay: a send at"


class Awakeable(NamedTuple):
    """An event that anybody completes by its id: ``id, event = ctx.awakeable(str)``."""

    id: str
    """What it is completed by; the same on replay."""
    future: DurableFuture[Any]
    """Ends with the value, or raises the ``TerminalError`` that it was rejected with."""


class Context:
    """What every handler gets as its first argument."""

    __slots__ = ("_attempt", "_log", "_random", "_request", "_state")

    def __init__(self, attempt: Attempt, request: Request) -> None:
        self._attempt = attempt
        self._request = request
        self._random: random.Random | None = None
        self._log: ReplayAwareLogger | None = None
        self._state = StateView(attempt.start.state, partial=attempt.start.partial_state)

    # -- steps

    @overload
    def run(
        self,
        function: Callable[[*PosArgs], Awaitable[T]],
        /,
        *args: *PosArgs,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        serde: Serde[T] | None = None,
        on_thread: bool = True,
    ) -> DurableFuture[T]: ...
    @overload
    def run(
        self,
        function: Callable[[*PosArgs], T],
        /,
        *args: *PosArgs,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        serde: Serde[T] | None = None,
        on_thread: bool = True,
    ) -> DurableFuture[T]: ...
    def run(
        self,
        function: Callable[[*PosArgs], Any],
        /,
        *args: *PosArgs,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        serde: Serde[Any] | None = None,
        on_thread: bool = True,
    ) -> DurableFuture[Any]:
        """A durable step: ``function(*args)`` is executed, its result journaled, never again.

        The body may do anything but durable operations. ``async def`` runs as a task; a plain
        function runs in a worker thread, or on the event loop with ``on_thread=False`` (only if
        it does not block). It is retried in place by ``retry`` (for ever by default, from
        50 ms doubling to 10 s) until it returns or raises ``TerminalError``, which the await
        raises. Cancelling it aborts the body; a thread cannot be aborted: it is abandoned and
        its result dropped. It runs at least once: exactly once unless the process dies in it.
        On replay a recorded result is returned and the body does not run.
        """
        task = self._attempt.running_task("ctx.run")
        step = step_of(function)
        attempt = self._attempt
        ledger = attempt.ledger
        completion_id = ledger.allocate()
        entry_name = task.entry_name(name or step.name)
        ledger.issue(Run(completion_id, entry_name))
        future: DurableFuture[Any] = DurableFuture(
            attempt.scheduler, entry_name, scope=task.scope, leaf=completion_id
        )
        decode = step.decode if serde is None else ContentDecoder(serde)
        ledger.expect(completion_id, future, decode)
        if completion_id not in attempt.known:
            body = RunBody(
                bodies=attempt.bodies,
                completion_id=completion_id,
                command_index=ledger.commands - 1,
                name=entry_name,
                future=future,
                function=function,
                args=args,
                policy=retry or _DEFAULT_RETRY,
                serde=decode.serde,
                in_thread=on_thread and not step.is_async,
                inline=not on_thread and not step.is_async,
                context=contextvars.copy_context(),
            )
            future._on_cancel(body.abort)
            attempt.bodies.add(body)
        return future

    # -- time and chance

    def timer(self, seconds: Duration, *, name: str = "") -> DurableFuture[None]:
        """A durable timer that ends ``seconds`` from now: a future, to be combined with others.

        What is journaled is the time at which it ends, so a replay does not start it anew.
        ``UsageError`` for a negative duration. To just wait, use ``sleep``.
        """
        deadline = self._attempt.clock.now() + to_seconds(seconds, "a timer")
        return self._attempt.start_timer(deadline, name)[0]

    def now(self) -> DurableFuture[float]:
        """The time in seconds since the epoch, journaled: ``await ctx.now()``."""
        return self.run(
            self._attempt.clock.now, name="now", serde=serde_for(float), on_thread=False
        )

    @property
    def random(self) -> random.Random:
        """A generator seeded with the invocation id: the same numbers on replay. Not for secrets."""
        self._attempt.running_task("ctx.random")
        if self._random is None:
            self._random = random.Random(self._attempt.start.random_seed)  # noqa: S311
        return self._random

    def uuid4(self) -> uuid.UUID:
        """A random UUID, the same on replay."""
        self._attempt.running_task("ctx.uuid4")
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    # -- other handlers

    @overload
    def call(
        self,
        target: CallTarget[[], O],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        on_cancel: OnCancel = "request",
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> CallFuture[O]: ...
    @overload
    def call(
        self,
        target: CallTarget[[I], O],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        on_cancel: OnCancel = "request",
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> CallFuture[O]: ...
    def call(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        on_cancel: OnCancel = "request",
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> CallFuture[Any]:
        """Call another handler; the future gives its result or raises its ``TerminalError``.

        The callee is invoked exactly once, whatever crashes. When the call is cancelled (its
        scope, its task, or ``cancel()``) the callee is sent CANCEL: ``on_cancel="request"`` does
        not wait for it to end, ``"wait"`` does, ``"abandon"`` sends nothing.

        ``key`` is that of the object or workflow. With an ``idempotency_key`` used before, by
        anybody, for the same handler and key, it is that earlier invocation's result.
        ``headers`` are for the callee's ``ctx.request``; ``scope`` and ``limit_key`` are a Restate
        server's. ``UsageError`` for a missing or needless key or input, ``SerializationError`` for
        an input that cannot be encoded, ``UnknownServiceError`` if nobody can serve it.
        """
        task = self._attempt.running_task("ctx.call")
        check_key(target, key)
        attempt, ledger = self._attempt, self._attempt.ledger
        parameter = target.encode_input(*argument)
        invocation_completion, completion_id = ledger.allocate(), ledger.allocate()
        entry_name = task.entry_name(name)
        ledger.issue(
            Call(
                target.service_name,
                target.handler_name,
                parameter,
                invocation_completion,
                completion_id,
                key or "",
                _headers(headers),
                _identity(idempotency_key, "idempotency_key"),
                _identity(scope, "scope"),
                _identity(limit_key, "limit_key"),
                entry_name,
            )
        )
        label = f"{target.service_name}/{target.handler_name}"
        future: CallFuture[Any] = CallFuture(
            attempt.scheduler,
            label,
            scope=task.scope,
            leaf=completion_id,
            waits_when_cancelled=on_cancel == "wait",
        )
        invocation = future._invocation = attempt.future(  # its maker
            label, invocation_completion, _invocation_id, scoped=False
        )
        if on_cancel != "abandon":
            future._on_cancel(
                lambda: ledger.cancel_callee(invocation, invocation_completion, entry_name)
            )
        ledger.expect(
            completion_id, future, lambda result: target.decode_output(content_of(result))
        )
        return future

    @overload
    def send(
        self,
        target: CallTarget[[], Any],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> SendHandle: ...
    @overload
    def send(
        self,
        target: CallTarget[[I], Any],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> SendHandle: ...
    def send(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        delay: Duration = 0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
        name: str = "",
    ) -> SendHandle:
        """Start another handler without waiting for it, ``delay`` from now.

        It is invoked exactly once, outlives this handler, and is not cancelled with it. The
        time at which it starts is journaled. With an ``idempotency_key`` or workflow key used
        before it is the earlier invocation. Otherwise as ``call``.
        """
        task = self._attempt.running_task("ctx.send")
        check_key(target, key)
        ledger = self._attempt.ledger
        parameter = target.encode_input(*argument)
        wait = to_seconds(delay, "delay")
        invoke_time = 0
        if wait:
            invoke_time = milliseconds(self._attempt.clock.now() + wait, _NO_SEND)
        completion_id = ledger.allocate()
        entry_name = task.entry_name(name)
        ledger.issue(
            OneWayCall(
                target.service_name,
                target.handler_name,
                parameter,
                completion_id,
                invoke_time,
                key or "",
                _headers(headers),
                _identity(idempotency_key, "idempotency_key"),
                _identity(scope, "scope"),
                _identity(limit_key, "limit_key"),
                entry_name,
            )
        )
        invocation = self._attempt.future(
            f"{target.service_name}/{target.handler_name}",
            completion_id,
            _invocation_id,
            scoped=False,
        )
        return SendHandle(self._attempt, invocation, completion_id, entry_name)

    def invocation(self, target: str | IdempotentTarget | WorkflowTarget, /) -> InvocationHandle:
        """Another invocation, by id, idempotency key or workflow: attach, output, cancel, signal.

        Journals nothing; whether there is such an invocation is known when it is used.
        """
        self._attempt.running_task("ctx.invocation")
        return InvocationHandle(
            self._attempt, InvocationTarget(target) if isinstance(target, str) else target
        )

    # -- events

    def awakeable(self, type: Any = Any) -> Awakeable:  # noqa: A002  # as ctx.get has it
        """An event from outside: hand the id out, await the future, decoded as ``type``.

        Whoever knows the id resolves or rejects it: another handler, or an HTTP request. It
        may be completed before it is awaited, and once: later completions are ignored.
        """
        task = self._attempt.running_task("ctx.awakeable")
        signal = self._attempt.ledger.allocate_signal()
        text = awakeable_id(self._attempt.start.raw_id, signal)
        return Awakeable(text, self._listen(task, signal, f"awakeable {text}", serde_for(type)))

    def resolve_awakeable(self, id: str, value: object = None, type: Any = Any) -> None:  # noqa: A002
        """Complete somebody's awakeable with a value, encoded as ``type``. Journaled.

        A second completion is ignored. ``UsageError`` for an id that is no awakeable's,
        ``SerializationError`` for a value that cannot be encoded.
        """
        self._complete_awakeable(id, Value(serde_for(type).serialize(value)))

    def reject_awakeable(
        self,
        id: str,  # noqa: A002
        message: str,
        *,
        code: int = 500,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Complete somebody's awakeable with a ``TerminalError``; see ``resolve_awakeable``."""
        self._complete_awakeable(id, failure(code, message, metadata))

    @overload
    def signal(self, name: str, type: type[T]) -> DurableFuture[T]: ...
    @overload
    def signal(self, name: str, type: Any = ...) -> DurableFuture[Any]: ...
    def signal(self, name: str, type: Any = Any) -> DurableFuture[Any]:  # noqa: A002
        """The next value that is signalled to this invocation under ``name``, decoded as ``type``.

        It may have come already. Every value is given to one future, in order. Awaiting
        raises the ``TerminalError`` of a signal that was rejected.
        """
        task = self._attempt.running_task("ctx.signal")
        if spelled_out(name) != name:
            raise UsageError(
                f"a signal cannot be called {name!r}, which is no valid Unicode: nobody could send it"
            )

        return self._listen(task, name, f"signal {name}", serde_for(type))

    def cancellation(self) -> DurableFuture[None]:
        """What CANCEL ends, with ``CancelledError``, in a handler with ``explicit_cancellation``.

        It may have been sent already; another one changes nothing. ``UsageError`` in every
        other handler, which CANCEL unwinds.
        """
        self._attempt.running_task("ctx.cancellation")
        future = self._attempt.cancellation
        if future is None:
            start = self._attempt.start
            raise UsageError(
                f"CANCEL unwinds {start.service}/{start.handler}: there is nothing to wait for. "
                "Give it the option explicit_cancellation=True to decide what CANCEL does."
            )

        return future

    # -- about the invocation

    @property
    def request(self) -> Request:
        """What is known of this invocation: id, key, headers, raw body, attempt number."""
        return self._request

    @property
    def log(self) -> ReplayAwareLogger:
        """A standard logger that is silent while the branch that logs is replaying."""
        if self._log is None:
            self._log = ReplayAwareLogger(self._attempt)
        return self._log

    @property
    def is_replaying(self) -> bool:
        """Whether recorded commands are left to replay. For diagnostics, not for decisions."""
        return self._attempt.is_replaying

    if not TYPE_CHECKING:
        # A type checker that saw it would take every misspelt operation for one.
        def __getattr__(self, name: str) -> NoReturn:
            self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        reason = _ELSEWHERE.get(name)
        if reason is None:
            raise AttributeError(
                f"{type(self).__name__} has no operation {name!r}.{_instead(type(self), name)}"
            )

        if reason is _READ_ONLY and not self._attempt.handler.kind.keyed:
            reason = _NO_STATE
        start = self._attempt.start
        raise UsageError(f"ctx.{name} does not work in {start.service}/{start.handler}: {reason}")

    # -- shared by the operations

    def _listen(
        self, task: DurableTask, signal: int | str, name: str, serde: Serde[Any]
    ) -> DurableFuture[Any]:
        future: DurableFuture[Any] = DurableFuture(
            self._attempt.scheduler, name, scope=task.scope, leaf=(signal,)
        )
        self._attempt.ledger.listen(signal, future, ContentDecoder(serde))
        return future

    def _complete_awakeable(self, id: str, result: Value | Failure) -> None:  # noqa: A002
        task = self._attempt.running_task("ctx.resolve_awakeable")
        self._attempt.ledger.issue(CompleteAwakeable(id, result, task.entry_name("")))

    def _read_state(self, name: str, decode: Callable[[Any], Any]) -> DurableFuture[Any]:
        task = self._attempt.running_task("ctx.get")
        ledger = self._attempt.ledger
        completion_id = ledger.allocate()
        known = self._state.get(name)
        entry_name = task.entry_name("")
        asked: GetState | GetEagerState
        if known is UNKNOWN:
            asked = GetState(name, completion_id, entry_name)
        else:
            asked = GetEagerState(name, Void() if known is None else Value(known), entry_name)
        return self._read(f"state {name}", completion_id, ledger.issue(asked), decode)

    def _read(
        self, name: str, completion_id: int, recorded: Any, decode: Callable[[Any], Any]
    ) -> DurableFuture[Any]:
        if isinstance(recorded, GetState | GetStateKeys):
            return self._attempt.future(name, completion_id, decode)

        # Settled as a lazy read is: what does not fit is raised where it is awaited.
        eager = isinstance(recorded, GetEagerState)
        result: Any = recorded.result if eager else StateKeys(recorded.keys)
        future: DurableFuture[Any] = DurableFuture(self._attempt.scheduler, name)
        settle(future, decode, result)
        return future


class ObjectSharedContext(Context):
    """The context of a shared handler of a virtual object: it reads the object's state."""

    __slots__ = ()

    @property
    def key(self) -> str:
        """The key of this object or workflow."""
        return self._attempt.start.key

    @overload
    def get(self, name: str, type: type[T]) -> DurableFuture[T | None]: ...
    @overload
    def get(self, name: str, type: type[T], default: T) -> DurableFuture[T]: ...
    @overload
    def get(self, name: str, type: Any = ..., default: Any = ...) -> DurableFuture[Any]: ...
    def get(self, name: str, type: Any = Any, default: Any = None) -> DurableFuture[Any]:  # noqa: A002
        """The state entry, decoded as ``type``; ``default`` (None) if there is none.

        What was read is journaled: a replay reads the same. Await it, also where the answer
        is known at once. ``SerializationError`` for an entry that does not fit ``type``.
        """
        serde = serde_for(type)

        def decode(result: Any) -> Any:
            if isinstance(result, Void):
                return default

            try:
                return serde.deserialize(content_of(result))
            except SerializationError as exc:
                raise SerializationError(f"the state entry {name!r}: {exc}") from exc

        return self._read_state(name, decode)

    def keys(self) -> DurableFuture[list[str]]:
        """The names of all state entries, sorted."""
        task = self._attempt.running_task("ctx.keys")
        ledger = self._attempt.ledger
        completion_id = ledger.allocate()
        known = self._state.keys()
        entry_name = task.entry_name("")
        asked: GetStateKeys | GetEagerStateKeys
        if known is None:
            asked = GetStateKeys(completion_id, entry_name)
        else:
            asked = GetEagerStateKeys(known, entry_name)
        return self._read("state keys", completion_id, ledger.issue(asked), _state_keys)


class ObjectContext(ObjectSharedContext):
    """The context of an exclusive handler of a virtual object: it also writes the state."""

    __slots__ = ()

    def set(self, name: str, value: object, type: Any = Any) -> None:  # noqa: A002
        """Write a state entry, encoded as ``type``.

        It is journaled, and stays written whatever becomes of the handler. Without ``type``
        the value has to be plain JSON. ``SerializationError`` for one that cannot be encoded.
        """
        task = self._attempt.running_task("ctx.set")
        try:
            content = serde_for(type).serialize(value)
        except SerializationError as exc:
            raise SerializationError(f"the state entry {name!r}: {exc}{_typed(type)}") from exc
        self._attempt.ledger.issue(SetState(name, content, task.entry_name("")))
        self._state.set(name, content)

    def clear(self, name: str) -> None:
        """Remove a state entry; none there is no error."""
        task = self._attempt.running_task("ctx.clear")
        self._attempt.ledger.issue(ClearState(name, task.entry_name("")))
        self._state.clear(name)

    def clear_all(self) -> None:
        """Remove all state entries of the object."""
        task = self._attempt.running_task("ctx.clear_all")
        self._attempt.ledger.issue(ClearAllState(task.entry_name("")))
        self._state.clear_all()


class WorkflowSharedContext(ObjectSharedContext):
    """The context of a shared handler of a workflow: it reads state and shares promises."""

    __slots__ = ()

    @overload
    def promise(self, name: str, type: type[T]) -> DurablePromise[T]: ...
    @overload
    def promise(self, name: str, type: Any = ...) -> DurablePromise[Any]: ...
    def promise(self, name: str, type: Any = Any) -> DurablePromise[Any]:  # noqa: A002
        """The promise of this workflow key with this name, for a value of ``type``."""
        return DurablePromise(self._attempt, name, serde_for(type))


class WorkflowContext(WorkflowSharedContext, ObjectContext):
    """The context of a workflow's main handler: state, promises, everything."""

    __slots__ = ()


_READ_ONLY = (
    "a shared handler only reads state, since it runs beside the exclusive one. Declare it with "
    "@obj.handler (or do it in the workflow's main handler) to write."
)
_NO_STATE = (
    "a Service has no key and no state. Make it a VirtualObject or a Workflow, or keep the value "
    "in an object of its own and call that."
)
_NO_PROMISES = "durable promises belong to a workflow. Use ctx.awakeable() or ctx.signal() here."
_ELSEWHERE = {
    "set": _READ_ONLY,
    "clear": _READ_ONLY,
    "clear_all": _READ_ONLY,
    "get": _NO_STATE,
    "keys": _NO_STATE,
    "key": _NO_STATE,
    "promise": _NO_PROMISES,
}


def _instead(kind: type[Context], name: str) -> str:
    """What may have been meant by an operation that is none."""
    import durable_trio

    if callable(getattr(durable_trio, name, None)):
        return f" It is a function of its own: durable_trio.{name}()."

    return did_you_mean(name, [each for each in dir(kind) if not each.startswith("_")])


def context_for(attempt: Attempt, recorded: Input) -> Context:
    """The context of the kind that the attempt's handler has."""
    start, kind = attempt.start, attempt.handler.kind
    request = Request(
        id=start.invocation_id,
        service=start.service,
        handler=start.handler,
        key=start.key,
        headers=dict(recorded.headers),
        body=recorded.content,
        idempotency_key=start.idempotency_key,
        attempt=start.attempt,
        attempt_headers=start.attempt_headers,
        scope=start.scope,
        limit_key=start.limit_key,
    )
    context_type: type[Context] = Context
    if kind.keyed:
        workflow = attempt.handler.service.is_workflow
        context_type = {
            (True, True): WorkflowContext,
            (True, False): WorkflowSharedContext,
            (False, True): ObjectContext,
            (False, False): ObjectSharedContext,
        }[workflow, kind.writes_state]
    return context_type(attempt, request)


def current_context() -> Context:
    """The context of the handler that is running. ``NotDurableTaskError`` where none is."""
    context: Context = running_task("current_context").scheduler.handler_context
    return context


def _typed(annotation: Any) -> str:
    """What helps, after a value that no type was given for."""
    return " (ctx.set takes it as type=)" if annotation is Any else ""


def _invocation_id(result: Any) -> str:
    if not isinstance(result, InvocationId):
        raise _unfit("the id of an invocation", result)

    return result.id


def _state_keys(result: Any) -> list[str]:
    if not isinstance(result, StateKeys):
        raise _unfit("the names of state entries", result)

    return list(result.keys)


def _unfit(expected: str, found: object) -> SerializationError:
    return SerializationError(
        f"expected {expected} as the answer to a command, found {found!r}: the journal is damaged, "
        "or the server answered something else. Purge the invocation."
    )


def _headers(headers: Mapping[str, str] | None) -> Headers:
    return tuple(headers.items()) if headers else ()


def _identity(
    text: str | None, what: Literal["idempotency_key", "scope", "limit_key"]
) -> str | None:
    if text == "":
        raise UsageError(f"an empty {what} identifies nothing: leave it out, or give it a value")

    return text

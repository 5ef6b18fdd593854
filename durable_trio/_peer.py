"""Handles of other invocations: calls, sends, and invocations known by id.

Owns what can be done with them. Their commands are issued through the ledger by the
context that made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from ._exceptions import UsageError
from ._failures import failure
from ._future import DurableFuture
from ._journal._entries import (
    CANCEL_SIGNAL,
    VOID,
    Attach,
    Failure,
    GetOutput,
    InvocationTarget,
    SendSignal,
    Value,
    Void,
)
from ._not_ready import NOT_READY, NotReady
from .serde import serde_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._attempt import Attempt
    from ._journal._entries import Target

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

OnCancel: TypeAlias = Literal["request", "wait", "abandon"]
"""What becomes of a callee when its call is cancelled: it is signalled, signalled and waited
for, or left alone."""


class CallFuture(DurableFuture[T_co]):
    """A call under way. Await it for the callee's result; ``TerminalError`` if it failed."""

    __slots__ = ("_invocation",)

    _invocation: DurableFuture[str]

    def invocation_id(self) -> DurableFuture[str]:
        """The id of the callee's invocation: ``await call.invocation_id()``."""
        return self._invocation


class SendHandle:
    """An invocation that was sent and is not waited for. It outlives its sender."""

    __slots__ = ("_attempt", "_completion_id", "_invocation", "_name")

    def __init__(
        self, attempt: Attempt, invocation: DurableFuture[str], completion_id: int, name: str
    ) -> None:
        self._attempt = attempt
        self._invocation = invocation
        self._completion_id = completion_id
        self._name = name

    def invocation_id(self) -> DurableFuture[str]:
        """The id of the invocation that was sent: ``await handle.invocation_id()``."""
        return self._invocation

    def cancel(self) -> None:
        """Send it CANCEL, as soon as its id is known. Journaled."""
        self._attempt.running_task("SendHandle.cancel")
        self._attempt.ledger.cancel_callee(self._invocation, self._completion_id, self._name)


class InvocationHandle:
    """Another invocation, by its id or by what identifies it. Made by ``ctx.invocation``."""

    __slots__ = ("_attempt", "_target")

    def __init__(self, attempt: Attempt, target: Target) -> None:
        self._attempt = attempt
        self._target = target

    @overload
    def attach(self, type: type[T]) -> DurableFuture[T]: ...
    @overload
    def attach(self, type: Any = ...) -> DurableFuture[Any]: ...
    def attach(self, type: Any = Any) -> DurableFuture[Any]:  # noqa: A002  # as ctx.get has it
        """Wait for its result, decoded as ``type``. Cancelling the wait does not cancel it.

        ``TerminalError`` as it failed; 404 if it is unknown.
        """
        task = self._attempt.running_task("InvocationHandle.attach")
        ledger, serde = self._attempt.ledger, serde_for(type)
        completion_id = ledger.allocate()
        ledger.issue(Attach(self._target, completion_id, task.entry_name("")))
        return self._attempt.future(
            "attach", completion_id, lambda result: _decoded(serde, result), enlisted=True
        )

    @overload
    def output(self, type: type[T]) -> DurableFuture[T | NotReady]: ...
    @overload
    def output(self, type: Any = ...) -> DurableFuture[Any]: ...
    def output(self, type: Any = Any) -> DurableFuture[Any]:  # noqa: A002
        """Its result if it has ended, ``NOT_READY`` if it has not.

        ``TerminalError`` as it failed; 404 if it is unknown. On replay it is what it was.
        """
        task = self._attempt.running_task("InvocationHandle.output")
        ledger, serde = self._attempt.ledger, serde_for(type)
        completion_id = ledger.allocate()
        ledger.issue(GetOutput(self._target, completion_id, task.entry_name("")))
        return self._attempt.future(
            "output",
            completion_id,
            lambda result: NOT_READY if isinstance(result, Void) else _decoded(serde, result),
        )

    def cancel(self) -> None:
        """Send it CANCEL. Journaled; it does not wait for the invocation to end.

        ``UsageError`` if it is not named by its id, as for ``signal``.
        """
        self._send(CANCEL_SIGNAL, VOID)

    def signal(self, name: str, value: object = None, type: Any = Any) -> None:  # noqa: A002
        """Resolve its signal of this name with a value, encoded as ``type``. Journaled.

        Every one counts: the invocation takes them in order. One that has ended ignores them.
        """
        self._send(name, Value(serde_for(type).serialize(value)))

    def reject_signal(
        self, name: str, message: str, *, code: int = 500, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Reject its signal of this name: its wait raises a ``TerminalError``."""
        self._send(name, failure(code, message, metadata))

    def _send(self, signal: int | str, result: Void | Value | Failure) -> None:
        task = self._attempt.running_task("a signal")
        if not isinstance(self._target, InvocationTarget):
            raise UsageError(
                "a signal needs the invocation id: make the handle with ctx.invocation(<id>), "
                "with the id that `await call.invocation_id()` tells"
            )

        self._attempt.ledger.issue(
            SendSignal(self._target.invocation_id, signal, result, task.entry_name(""))
        )


def _decoded(serde: Any, result: object) -> Any:
    return serde.deserialize(result.content if isinstance(result, Value) else b"")

"""Durable promises: values that the handlers of one workflow key hand to each other.

Owns the handle. Promises themselves are the adapter's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._failures import failure
from ._journal._entries import CompletePromise, Failure, GetPromise, PeekPromise, Value, Void
from ._not_ready import NOT_READY, NotReady

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ._attempt import Attempt
    from ._future import DurableFuture
    from .abc import Serde

T = TypeVar("T")


class DurablePromise(Generic[T]):
    """One promise of a workflow key. Await it for its value; anybody of the workflow completes it."""

    __slots__ = ("_attempt", "_name", "_serde")

    def __init__(self, attempt: Attempt, name: str, serde: Serde[T]) -> None:
        self._attempt = attempt
        self._name = name
        self._serde = serde

    def __await__(self) -> Generator[Any, Any, T]:
        return self.get().__await__()

    def get(self) -> DurableFuture[T]:
        """Its value, once it is completed. ``TerminalError`` if it was rejected."""
        task = self._attempt.running_task("DurablePromise.get")
        completion_id = self._attempt.ledger.allocate()
        self._attempt.ledger.issue(GetPromise(self._name, completion_id, task.entry_name("")))
        return self._attempt.future(
            f"promise {self._name}", completion_id, self._decode, enlisted=True
        )

    def peek(self) -> DurableFuture[T | NotReady]:
        """Its value if it is completed, ``NOT_READY`` otherwise. ``TerminalError`` if rejected."""
        task = self._attempt.running_task("DurablePromise.peek")
        completion_id = self._attempt.ledger.allocate()
        self._attempt.ledger.issue(PeekPromise(self._name, completion_id, task.entry_name("")))
        return self._attempt.future(
            f"promise {self._name}",
            completion_id,
            lambda result: NOT_READY if isinstance(result, Void) else self._decode(result),
        )

    def resolve(self, value: T) -> DurableFuture[None]:
        """Complete it with a value. Awaiting raises ``TerminalError`` if it was completed before."""
        return self._complete(Value(self._serde.serialize(value)))

    def reject(
        self, message: str, *, code: int = 500, metadata: Mapping[str, str] | None = None
    ) -> DurableFuture[None]:
        """Complete it with a failure. Awaiting raises ``TerminalError`` if it was completed before."""
        return self._complete(failure(code, message, metadata))

    def _complete(self, result: Value | Failure) -> DurableFuture[None]:
        task = self._attempt.running_task("DurablePromise.resolve")
        completion_id = self._attempt.ledger.allocate()
        self._attempt.ledger.issue(
            CompletePromise(self._name, result, completion_id, task.entry_name(""))
        )
        return self._attempt.future(f"promise {self._name}", completion_id, lambda _: None)

    def _decode(self, result: object) -> T:
        return self._serde.deserialize(result.content if isinstance(result, Value) else b"")

"""Who waits for a result from outside of any invocation.

Owns the callers of this process. They wait in memory only: when the process dies, nobody
is left to be answered, and the invocation goes on.

 1. Begin to observe first, look at the record then: a result that comes in between is
    seen by one or the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durable_trio._journal._entries import Failure, Value


@attrs.define(eq=False)
class Observer:
    """One caller who waits for one invocation."""

    invocation_id: str
    done: anyio.Event = attrs.field(factory=anyio.Event)
    result: Value | Failure | None = None
    error: Exception | None = None

    def answer(self, result: Value | Failure) -> None:
        """The result is known."""
        self.result = result
        self.done.set()

    def refuse(self, error: Exception) -> None:
        """There will be no result here."""
        self.error = error
        self.done.set()

    async def wait(self) -> Value | Failure:
        """The result. Raises the error if there will be none here."""
        await self.done.wait()
        if self.error is not None:
            raise self.error

        assert self.result is not None
        return self.result


class Observers:
    """All callers, by invocation: to iterate gives the ids."""

    __slots__ = ("_observers",)

    def __init__(self) -> None:
        self._observers: dict[str, list[Observer]] = {}

    def __contains__(self, invocation_id: str) -> bool:
        return invocation_id in self._observers

    def __iter__(self) -> Iterator[str]:
        return iter(self._observers)

    def __len__(self) -> int:
        return len(self._observers)

    def observe(self, invocation_id: str) -> Observer:
        """Begin to wait."""
        observer = Observer(invocation_id)
        self._observers.setdefault(invocation_id, []).append(observer)
        return observer

    def leave(self, observer: Observer) -> None:
        """Do not wait any longer."""
        observers = self._observers.get(observer.invocation_id)
        if observers is not None and observer in observers:
            observers.remove(observer)
            if not observers:
                del self._observers[observer.invocation_id]

    def resolve(self, invocation_id: str, result: Value | Failure) -> None:
        """The invocation has completed, durably."""
        for observer in self._observers.pop(invocation_id, ()):
            observer.answer(result)

    def refuse(self, invocation_id: str, error: Exception) -> None:
        """The invocation has no result, and waits for an operator itself."""
        for observer in self._observers.pop(invocation_id, ()):
            observer.refuse(error)

    def fail(self, error: Exception) -> None:
        """Nobody will be answered any more."""
        for invocation_id in list(self._observers):
            self.refuse(invocation_id, error)

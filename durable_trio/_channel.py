"""Memory channels between the durable tasks of one handler, as in trio.

Owns sending, receiving, cloning and closing. Scheduler state only: nothing is journaled.

 1. Values arrive in the order in which they were sent; receivers and blocked senders are
    served in the order in which they began to wait.
 2. A channel ends when all its senders are closed and its buffer is empty; it breaks when
    all its receivers are closed.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from ._exceptions import BrokenResourceError, ClosedResourceError, EndOfChannel, WouldBlock
from ._wait import WaitQueue, check_cancelled

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import TypeVar as DefaultedTypeVar

    from ._task import DurableTask

    ItemT = DefaultedTypeVar("ItemT", default=Any)

T = TypeVar("T")
if not TYPE_CHECKING:
    ItemT = T  # a default is for checkers only, and for Python 3.13
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


@attrs.frozen
class ChannelStatistics:
    """What ``statistics`` tells of a channel."""

    current_buffer_used: int
    max_buffer_size: float
    open_send_channels: int
    open_receive_channels: int
    tasks_waiting_send: int
    tasks_waiting_receive: int


@attrs.frozen
class _Woken:
    """What a waiting task is given: a value, or the end of the channel."""

    value: Any = None
    ended: bool = False


_ENDED: Final = _Woken(ended=True)


@attrs.define(eq=False)
class _State:
    max_buffer_size: float
    buffer: deque[Any] = attrs.field(factory=deque[Any])
    senders: WaitQueue[tuple[object, Any]] = attrs.field(factory=WaitQueue[tuple[object, Any]])
    """Which end each waits at, and what it sends."""
    receivers: WaitQueue[object] = attrs.field(factory=WaitQueue[object])
    """Which end each waits at."""
    open_senders: int = 0
    open_receivers: int = 0

    def user(self, operation: str) -> DurableTask:
        return self.senders.user(operation)

    def statistics(self) -> ChannelStatistics:
        return ChannelStatistics(
            current_buffer_used=len(self.buffer),
            max_buffer_size=self.max_buffer_size,
            open_send_channels=self.open_senders,
            open_receive_channels=self.open_receivers,
            tasks_waiting_send=len(self.senders),
            tasks_waiting_receive=len(self.receivers),
        )


class MemorySendChannel(Generic[T_contra]):
    """The sending end. Close it, or use it as a context manager, so that receivers see the end."""

    __slots__ = ("_closed", "_state", "_waiting")

    def __init__(self, state: Any) -> None:
        self._state: _State = state
        self._closed = False
        self._waiting = 0
        """How many tasks wait at this end."""
        state.open_senders += 1

    def send_nowait(self, value: T_contra) -> None:
        """Send without waiting. ``WouldBlock`` if the buffer is full and nobody receives."""
        self._state.user("channel.send_nowait")
        state = self._state
        self._check_open()
        if state.receivers.wake_first(_Woken(value)):
            return

        if len(state.buffer) >= state.max_buffer_size:
            raise WouldBlock("the channel's buffer is full")

        state.buffer.append(value)

    async def send(self, value: T_contra) -> None:
        """Send, waiting for room. ``BrokenResourceError`` if nobody can receive any more."""
        task = self._state.user("channel.send")
        await check_cancelled(task)
        with suppress(WouldBlock):
            self.send_nowait(value)
            return

        self._waiting += 1
        try:
            woken: _Woken = await self._state.senders.wait(task, (self, value))
        finally:
            self._waiting -= 1
        if woken.ended:
            self._check_open()

    def clone(self) -> MemorySendChannel[T_contra]:
        """Another sending end of the same channel; each has to be closed."""
        if self._closed:
            raise ClosedResourceError("this end of the channel was closed: clone it before that")

        return MemorySendChannel(self._state)

    def close(self) -> None:
        """Close this end. The last one to close ends the channel for its receivers."""
        if self._closed:
            return

        state = self._state
        state.senders.check_changer("channel.close")
        self._closed = True
        state.open_senders -= 1
        if self._waiting:
            state.senders.wake_all(_ENDED, where=lambda waiting: waiting[0] is self)
        if not state.open_senders:
            state.receivers.wake_all(_ENDED)

    async def aclose(self) -> None:
        """As ``close``."""
        self.close()

    def statistics(self) -> ChannelStatistics:
        """What is buffered and who waits."""
        return self._state.statistics()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedResourceError(
                "this end of the channel was closed: give each task a clone of its own"
            )

        if not self._state.open_receivers:
            raise BrokenResourceError("every receiving end of the channel is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class MemoryReceiveChannel(Generic[T_co]):
    """The receiving end. ``async for value in channel`` ends when all senders are closed."""

    __slots__ = ("_closed", "_state", "_waiting")

    def __init__(self, state: Any) -> None:
        self._state: _State = state
        self._closed = False
        self._waiting = 0
        """How many tasks wait at this end."""
        state.open_receivers += 1

    def receive_nowait(self) -> T_co:
        """Receive without waiting. ``WouldBlock`` if there is nothing, ``EndOfChannel`` at the end."""
        self._state.user("channel.receive_nowait")
        state = self._state
        if self._closed:
            raise ClosedResourceError(
                "this end of the channel was closed: give each task a clone of its own"
            )

        sender = state.senders.wake_first(_Woken())
        if sender is not None:
            _, (_, value) = sender
            state.buffer.append(value)
        if state.buffer:
            received: T_co = state.buffer.popleft()
            return received

        if not state.open_senders:
            raise EndOfChannel("every sending end of the channel is closed")

        raise WouldBlock("the channel is empty")

    async def receive(self) -> T_co:
        """Receive, waiting for a value. ``EndOfChannel`` when none can come any more."""
        task = self._state.user("channel.receive")
        await check_cancelled(task)
        with suppress(WouldBlock):
            return self.receive_nowait()

        self._waiting += 1
        try:
            woken: _Woken = await self._state.receivers.wait(task, self)
        finally:
            self._waiting -= 1
        if woken.ended:
            return self.receive_nowait()

        value: T_co = woken.value
        return value

    def clone(self) -> MemoryReceiveChannel[T_co]:
        """Another receiving end; every value goes to one of them."""
        if self._closed:
            raise ClosedResourceError("this end of the channel was closed: clone it before that")

        return MemoryReceiveChannel(self._state)

    def close(self) -> None:
        """Close this end. The last one to close breaks the channel for its senders."""
        if self._closed:
            return

        state = self._state
        state.senders.check_changer("channel.close")
        self._closed = True
        state.open_receivers -= 1
        if self._waiting:
            state.receivers.wake_all(_ENDED, where=lambda end: end is self)
        if not state.open_receivers:
            state.buffer.clear()
            state.senders.wake_all(_ENDED)

    async def aclose(self) -> None:
        """As ``close``."""
        self.close()

    def statistics(self) -> ChannelStatistics:
        """What is buffered and who waits."""
        return self._state.statistics()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        try:
            return await self.receive()
        except EndOfChannel:
            raise StopAsyncIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


# Not a function, so that it can be told the type of the values. Like anyio's, it makes a tuple.
class open_memory_channel(  # noqa: N801
    tuple[MemorySendChannel[ItemT], MemoryReceiveChannel[ItemT]]
):
    """A channel that holds up to ``max_buffer_size`` values (0: hand over, ``math.inf``: no bound).

    Returns its two ends, ``send, receive``; ``open_memory_channel[str]`` are those of texts. Between
    the durable tasks of one handler; nothing is journaled. ``ValueError`` for a size that is
    negative or no whole number.
    """

    __slots__ = ()

    def __new__(  # type: ignore[misc]
        cls, max_buffer_size: float
    ) -> tuple[MemorySendChannel[ItemT], MemoryReceiveChannel[ItemT]]:
        """The sending end and the receiving end."""
        if max_buffer_size < 0 or (
            max_buffer_size != math.inf and max_buffer_size != int(max_buffer_size)
        ):
            raise ValueError(
                f"max_buffer_size is a whole number from 0 on, or math.inf, got {max_buffer_size!r}"
            )

        state = _State(max_buffer_size)
        return MemorySendChannel(state), MemoryReceiveChannel(state)

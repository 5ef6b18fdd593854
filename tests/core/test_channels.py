"""Memory channels, held against what trio documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from durable_trio import (
    BrokenResourceError,
    CancelScope,
    ClosedResourceError,
    EndOfChannel,
    WouldBlock,
    checkpoint,
    open_memory_channel,
    open_nursery,
)

from .world import service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context, MemoryReceiveChannel, MemorySendChannel, TaskHandle


async def give(value: Any) -> Any:
    return value


def test_values_arrive_in_the_order_of_sending(backend: str) -> None:
    """``async for`` ends when the sender is closed."""

    async def handler(ctx: Context) -> list[int]:
        send, receive = open_memory_channel(0)

        async def producer() -> None:
            async with send:
                for index in range(3):
                    await send.send(index)

        async with open_nursery() as nursery:
            nursery.start_soon(producer)
            return [item async for item in receive]
        raise AssertionError

    assert value(service_handler(handler), backend) == [0, 1, 2]


def test_a_channel_is_told_the_type_of_its_values(backend: str) -> None:
    """In brackets, as trio's and anyio's are; without them they may be anything."""

    async def handler(ctx: Context) -> list[str]:
        send, receive = open_memory_channel[str](1)
        assert_type(send, "MemorySendChannel[str]")
        assert_type(receive, "MemoryReceiveChannel[str]")
        await send.send("a")
        untyped, _ = open_memory_channel(1)
        assert_type(untyped, "MemorySendChannel[Any]")
        return [await receive.receive()]

    assert value(service_handler(handler), backend) == ["a"]


def test_an_unbuffered_send_waits_for_its_receiver(backend: str) -> None:
    """The value is handed over from task to task."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        send, receive = open_memory_channel(0)

        async def producer() -> None:
            await send.send("x")
            order.append("sent")

        async with open_nursery() as nursery:
            nursery.start_soon(producer)
            await checkpoint()
            order.append("receiving")
            order.append(await receive.receive())
        return order

    assert value(service_handler(handler), backend) == ["receiving", "x", "sent"]


def test_a_buffer_takes_so_many(backend: str) -> None:
    """Up to its size nothing waits; then senders queue, in order."""

    async def handler(ctx: Context) -> list[Any]:
        send, receive = open_memory_channel(2)

        async def producer(item: str) -> None:
            await send.send(item)

        found: list[Any] = []
        async with open_nursery() as nursery:
            for item in "abcd":
                nursery.start_soon(producer, item)
            await checkpoint()
            with pytest.raises(WouldBlock):
                send.send_nowait("e")
            before = send.statistics()
            found += [before.current_buffer_used, before.tasks_waiting_send]
            found += [await receive.receive() for _ in range(4)]
        return found

    assert value(service_handler(handler), backend) == [2, 2, "a", "b", "c", "d"]


def test_an_unbounded_buffer_never_waits(backend: str) -> None:
    """``math.inf`` is a size."""

    async def handler(ctx: Context) -> int:
        send, receive = open_memory_channel(math.inf)
        for index in range(100):
            send.send_nowait(index)
        send.close()
        return sum([item async for item in receive])

    assert value(service_handler(handler), backend) == 4950


def test_receivers_are_served_in_the_order_of_waiting(backend: str) -> None:
    """Every value goes to one of them."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        send, receive = open_memory_channel(0)

        async def consumer(name: str) -> None:
            order.append(f"{name} {await receive.receive()}")

        async with open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(consumer, name)
            await checkpoint()
            order.append(f"waiting {receive.statistics().tasks_waiting_receive}")
            send.send_nowait(1)
            send.send_nowait(2)
        return order

    assert value(service_handler(handler), backend) == ["waiting 2", "a 1", "b 2"]


def test_nothing_to_receive(backend: str) -> None:
    """``receive_nowait`` raises ``WouldBlock``, and ``EndOfChannel`` at the end."""

    async def handler(ctx: Context) -> int:
        send, receive = open_memory_channel(1)
        with pytest.raises(WouldBlock):
            receive.receive_nowait()
        send.send_nowait(1)
        send.close()
        received: int = receive.receive_nowait()
        with pytest.raises(EndOfChannel):
            receive.receive_nowait()
        with pytest.raises(EndOfChannel):
            await receive.receive()
        return received

    assert value(service_handler(handler), backend) == 1


def test_a_cancelled_sender_takes_its_value_back(backend: str) -> None:
    """What was not handed over is not sent."""

    async def handler(ctx: Context) -> list[Any]:
        send, receive = open_memory_channel(0)
        handles: list[TaskHandle[None]] = []
        received: list[str] = []
        async with open_nursery() as nursery:
            handles += [nursery.start_soon(send.send, item) for item in ("first", "second")]
            await checkpoint()
            handles[0].cancel()
            received.append(await receive.receive())
        return [handles[0].status.name, *received]

    assert value(service_handler(handler), backend) == ["CANCELLED", "second"]


def test_a_cancelled_receiver_takes_nothing(backend: str) -> None:
    """The next one in the queue gets the value."""

    async def handler(ctx: Context) -> list[Any]:
        send, receive = open_memory_channel(0)
        found: list[Any] = []
        async with open_nursery() as nursery:
            first = nursery.start_soon(receive.receive)
            second = nursery.start_soon(receive.receive)
            await checkpoint()
            first.cancel()
            send.send_nowait("x")
            found.append(await second)
            found.append(first.status.name)
        return found

    assert value(service_handler(handler), backend) == ["x", "CANCELLED"]


def test_what_was_received_is_not_lost_to_a_later_cancellation(backend: str) -> None:
    """A receiver that was handed a value returns it, and is cancelled at its next wait."""

    async def handler(ctx: Context) -> list[Any]:
        got: list[Any] = []
        send, receive = open_memory_channel(0)

        async def consumer() -> None:
            got.append(await receive.receive())
            await checkpoint()
            got.append("not reached")

        async with open_nursery() as nursery:
            handle = nursery.start_soon(consumer)
            await checkpoint()
            send.send_nowait("x")
            handle.cancel()
        return got

    assert value(service_handler(handler), backend) == ["x"]


def test_sending_and_receiving_in_a_cancelled_scope_raises(backend: str) -> None:
    """Even if there is room, or a value."""

    async def handler(ctx: Context) -> list[bool]:
        send, receive = open_memory_channel(2)
        send.send_nowait(1)
        with CancelScope() as sending:
            sending.cancel()
            await send.send(2)
        with CancelScope() as receiving:
            receiving.cancel()
            await receive.receive()
        return [
            sending.cancelled_caught,
            receiving.cancelled_caught,
            receive.statistics().current_buffer_used == 1,
        ]

    assert value(service_handler(handler), backend) == [True, True, True]


def test_clones_count(backend: str) -> None:
    """The channel ends when the last sender is closed, and breaks with the last receiver."""

    async def handler(ctx: Context) -> list[Any]:
        send, receive = open_memory_channel(5)
        also_send, also_receive = send.clone(), receive.clone()
        opened = send.statistics()
        send.close()
        also_send.send_nowait(1)
        also_send.close()
        first = await receive.receive()
        with pytest.raises(EndOfChannel):
            await also_receive.receive()
        return [opened.open_send_channels, opened.open_receive_channels, first]

    assert value(service_handler(handler), backend) == [2, 2, 1]


def test_a_channel_without_receivers_is_broken(backend: str) -> None:
    """Sending says so, and what was buffered is dropped."""

    async def handler(ctx: Context) -> int:
        send, receive = open_memory_channel(5)
        send.send_nowait(1)
        also = receive.clone()
        receive.close()
        send.send_nowait(2)
        also.close()
        with pytest.raises(BrokenResourceError):
            send.send_nowait(3)
        with pytest.raises(BrokenResourceError):
            await send.send(3)
        return send.statistics().current_buffer_used

    assert value(service_handler(handler), backend) == 0


def test_closing_the_receiver_wakes_blocked_senders(backend: str) -> None:
    """They learn that the channel is broken."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        send, receive = open_memory_channel(0)

        async def producer() -> None:
            with pytest.raises(BrokenResourceError):
                await send.send(1)
            order.append("broken")

        async with open_nursery() as nursery:
            nursery.start_soon(producer)
            await checkpoint()
            receive.close()
        return order

    assert value(service_handler(handler), backend) == ["broken"]


def test_closing_the_sender_wakes_blocked_receivers(backend: str) -> None:
    """They learn that the channel has ended."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        send, receive = open_memory_channel(0)

        async def consumer() -> None:
            with pytest.raises(EndOfChannel):
                await receive.receive()
            order.append("ended")

        async with open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(consumer)
            await checkpoint()
            await send.aclose()
        return order

    assert value(service_handler(handler), backend) == ["ended", "ended"]


def test_closing_your_own_end_wakes_those_who_wait_on_it(backend: str) -> None:
    """They get ``ClosedResourceError``; those on a clone go on waiting."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        send, receive = open_memory_channel(0)
        also_send, also_receive = send.clone(), receive.clone()

        async def blocked(channel: MemorySendChannel[int]) -> None:
            try:
                await channel.send(1)
            except ClosedResourceError:
                order.append("send closed")
            else:
                order.append("sent")

        async with open_nursery() as nursery:
            nursery.start_soon(blocked, send)
            nursery.start_soon(blocked, also_send)
            await checkpoint()
            send.close()
            await receive.receive()

        async def starved(channel: MemoryReceiveChannel[int]) -> None:
            try:
                await channel.receive()
            except ClosedResourceError:
                order.append("receive closed")
            else:
                order.append("received")

        async with open_nursery() as nursery:
            nursery.start_soon(starved, receive)
            nursery.start_soon(starved, also_receive)
            await checkpoint()
            receive.close()
            await also_send.send(1)
        return order

    assert value(service_handler(handler), backend) == [
        "send closed",
        "sent",
        "receive closed",
        "received",
    ]


def test_a_closed_end_does_nothing_more(backend: str) -> None:
    """Every operation says that it was closed; closing twice is no error."""

    async def handler(ctx: Context) -> None:
        send, receive = open_memory_channel(1)
        send.close()
        send.close()
        await receive.aclose()
        receive.close()
        with pytest.raises(ClosedResourceError):
            send.send_nowait(1)
        with pytest.raises(ClosedResourceError):
            await send.send(1)
        with pytest.raises(ClosedResourceError):
            send.clone()
        with pytest.raises(ClosedResourceError):
            receive.receive_nowait()
        with pytest.raises(ClosedResourceError):
            await receive.receive()
        with pytest.raises(ClosedResourceError):
            receive.clone()

    assert value(service_handler(handler), backend) is None


def test_a_sender_that_was_served_is_not_told_of_a_later_close(backend: str) -> None:
    """Its value was taken: the send succeeded."""

    async def handler(ctx: Context) -> list[Any]:
        send, receive = open_memory_channel(0)
        found: list[Any] = []
        async with open_nursery() as nursery:
            handle = nursery.start_soon(send.send, 1)
            await checkpoint()
            found.append(receive.receive_nowait())
            send.close()
            await handle
            found.append(handle.status.name)
        return found

    assert value(service_handler(handler), backend) == [1, "FINISHED"]


def test_ends_are_context_managers(backend: str) -> None:
    """Both kinds of ``with`` close them."""

    async def handler(ctx: Context) -> list[int]:
        send, receive = open_memory_channel(1)
        with send.clone(), receive.clone():
            inside = send.statistics()
        async with send, receive:
            pass
        outside = send.statistics()
        return [
            inside.open_send_channels,
            inside.open_receive_channels,
            outside.open_send_channels,
            outside.open_receive_channels,
        ]

    assert value(service_handler(handler), backend) == [2, 2, 0, 0]


@pytest.mark.parametrize("size", [-1, 1.5])
def test_a_buffer_s_size_is_checked(size: float) -> None:
    """A whole number from 0 on, or infinity."""
    with pytest.raises(ValueError, match="whole number"):
        open_memory_channel(size)


def test_a_pipeline_of_runs_replays(backend: str) -> None:
    """Channels journal nothing, and replay the same turns (C8)."""

    async def handler(ctx: Context) -> list[int]:
        results: list[int] = []
        send, receive = open_memory_channel(1)

        async def producer() -> None:
            async with send:
                for index in range(4):
                    await send.send(await ctx.run(give, index))

        async def consumer() -> None:
            async for item in receive:
                result = await ctx.run(give, item * 10)
                results.append(result)

        async with open_nursery() as nursery:
            nursery.start_soon(producer)
            nursery.start_soon(consumer)
            nursery.start_soon(consumer)
        return results

    assert sorted(value(service_handler(handler), backend)) == [0, 10, 20, 30]

"""What the end of a handler means (the table of ``_outcome.py``)."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from durable_trio import (
    CancelledError,
    InvalidInputError,
    InvocationTimeoutError,
    RetryableError,
    SerializationError,
    ServiceOptions,
    TerminalError,
    TooSlowError,
    UsageError,
    open_nursery,
    remote,
)
from durable_trio._outcome import Retry, outcome_of_error
from durable_trio.abc import AttemptCompleted, AttemptFailed, Failure, Input, Output, Value

from .world import World, failure, service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context
    from durable_trio.abc import Call

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def outcome(error: BaseException, *, cancelled: bool = False, mapping: Any = None) -> Any:
    return outcome_of_error(error, cancelled=cancelled, mapping=mapping)


def test_a_value_is_the_output(backend: str) -> None:
    """Encoded by the annotation's serde, journaled as the last command."""

    async def handler(ctx: Context) -> dict[str, int]:
        return {"a": 1}

    world = World(service_handler(handler))

    assert AttemptCompleted(Value(b'{"a":1}')) == world.play(backend)
    assert [Input(b""), Output(Value(b'{"a":1}'))] == world.entries


def test_a_terminal_error_is_the_output(backend: str) -> None:
    """With its code, message and metadata; never a traceback."""

    async def handler(ctx: Context) -> None:
        raise TerminalError("gone", 410, {"id": "7"})

    assert Failure(410, "gone", (("id", "7"),)) == failure(service_handler(handler), backend)


def test_any_other_error_is_retried(backend: str) -> None:
    """The attempt fails, nothing is journaled."""

    async def handler(ctx: Context) -> None:
        raise ValueError("not now")

    world = World(service_handler(handler))
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert Failure(500, "ValueError: not now") == end.failure
    assert isinstance(end.error, ValueError)
    assert end.retry_after is None
    assert [Input(b"")] == world.entries


def test_a_retryable_error_chooses_its_delay(backend: str) -> None:
    """``retry_after`` is handed to the runtime."""

    async def handler(ctx: Context) -> None:
        raise RetryableError("later", retry_after=7.5)

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert end.retry_after == 7.5


def test_an_output_that_cannot_be_written_fails_the_attempt(backend: str) -> None:
    """A retry helps once the code is mended."""

    async def handler(ctx: Context) -> int:
        return "no number"  # type: ignore[return-value]

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, SerializationError)
    assert "the output of S/handler" in str(end.error)


def test_an_input_that_does_not_fit_is_a_400(backend: str) -> None:
    """It names the field, and the handler never runs."""
    begun: list[int] = []

    @attrs.frozen
    class Order:
        amount: int

    async def handler(ctx: Context, order: Order) -> int:
        begun.append(1)
        return order.amount

    handler.__annotations__["order"] = Order
    outcome = failure(service_handler(handler), backend, argument=b'{"amount":"many"}')

    assert outcome.code == 400
    assert "amount" in outcome.message
    assert [] == begun


def test_an_input_is_decoded(backend: str) -> None:
    """By the annotation's serde."""

    async def handler(ctx: Context, numbers: list[int]) -> int:
        return sum(numbers)

    assert value(service_handler(handler), backend, argument=b"[1,2,3]") == 6


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TerminalError("no", 404), Failure(404, "no")),
        (CancelledError(), Failure(409, "cancelled")),
        (InvalidInputError("bad"), Failure(400, "bad")),
        (TooSlowError("slow"), Failure(408, "slow")),
        (InvocationTimeoutError(), Failure(408, "timed out")),
        (ExceptionGroup("one", [TerminalError("no", 404)]), Failure(404, "no")),
    ],
)
def test_terminal_outcomes(error: Exception, expected: Failure) -> None:
    """What is final, and with which code."""
    assert expected == outcome(error)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (TerminalError("no", -1), "from 0 to 4294967295, best an HTTP status, got -1"),
        (TerminalError("no", 2**32), "got 4294967296"),
        (TerminalError("no", "404"), "got '404'"),  # type: ignore[arg-type]
        (TerminalError(None), "its message is NoneType, got None"),  # type: ignore[arg-type]
        (TerminalError("no", metadata={"a": 1}), "its metadata 'a' is int"),  # type: ignore[dict-item]
        (TerminalError("no", metadata={1: "a"}), "a name in its metadata is int"),  # type: ignore[dict-item]
    ],
)
def test_a_terminal_error_that_no_journal_holds(backend: str, error: Exception, what: str) -> None:
    """The attempt fails and says what is wrong with the error."""

    async def handler(ctx: Context) -> None:
        raise error

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert what in end.failure.message


def test_a_code_may_be_an_http_status() -> None:
    """It is kept as a plain number."""
    kept = outcome(TerminalError("no", HTTPStatus.NOT_FOUND))

    assert Failure(404, "no") == kept
    assert type(kept.code) is int


def test_an_error_without_a_text(backend: str) -> None:
    """Its class tells, alone and in a group."""

    class Mute(Exception):
        def __str__(self) -> str:
            return str(1 // 0)

    async def alone(ctx: Context) -> None:
        raise Mute

    async def together(ctx: Context) -> None:
        raise ExceptionGroup("two", [Mute(), TerminalError("no")])

    text = "Mute: <its text cannot be had: ZeroDivisionError in __str__>"
    for handler, expected in ((alone, text), (together, f"{text}; TerminalError: no")):
        end = World(service_handler(handler)).play(backend)
        assert isinstance(end, AttemptFailed)
        assert Failure(500, expected) == end.failure


def test_a_group_takes_the_first_leaf_s_code_and_names_all_leaves() -> None:
    """Nested groups are flattened in order."""
    group = ExceptionGroup(
        "outer",
        [
            ExceptionGroup("inner", [TerminalError("one", 401, {"k": "v"})]),
            TooSlowError("two"),
        ],
    )

    found = outcome(group)

    assert Failure(401, "2 errors: TerminalError: one; TooSlowError: two", (("k", "v"),)) == found


def test_one_retryable_leaf_makes_the_group_retried() -> None:
    """Nothing is lost for good as long as something may still work."""
    group = ExceptionGroup("both", [TerminalError("final"), ValueError("not now")])

    found = outcome(group)

    assert Retry(group) == found


def test_a_retryable_leaf_s_delay_counts() -> None:
    """Of the first leaf that is to be retried."""
    group = ExceptionGroup("both", [TerminalError("final"), RetryableError("later", 3.0)])

    assert Retry(group, 3.0) == outcome(group)


def test_a_mapping_makes_errors_terminal() -> None:
    """``as_terminal_error`` is asked about every leaf but terminal ones."""
    asked: list[Exception] = []

    def mapping(error: Exception) -> TerminalError | None:
        asked.append(error)
        return TerminalError("mapped", 422) if isinstance(error, KeyError) else None

    assert Failure(422, "mapped") == outcome(KeyError("a"), mapping=mapping)
    assert isinstance(outcome(ValueError(), mapping=mapping), Retry)
    assert Failure(408, "slow") == outcome(TooSlowError("slow"), mapping=mapping)
    assert Failure(500, "no") == outcome(TerminalError("no"), mapping=mapping)
    assert [KeyError, ValueError, TooSlowError] == [type(error) for error in asked]


def test_the_mapping_is_an_option(backend: str) -> None:
    """Given to the attempt with the handler's other options."""

    async def handler(ctx: Context) -> None:
        raise KeyError("a")

    options = ServiceOptions(as_terminal_error=lambda error: TerminalError(str(error), 422))

    assert failure(service_handler(handler), backend, options=options).code == 422


def test_a_mapping_that_fails_fails_the_attempt(backend: str) -> None:
    """Its own error is retried."""

    async def handler(ctx: Context) -> None:
        raise KeyError("a")

    def mapping(error: Exception) -> TerminalError | None:
        raise OSError("broken mapping")

    world = World(service_handler(handler), options=ServiceOptions(as_terminal_error=mapping))
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, OSError)


@pytest.mark.parametrize(
    "cancelled_error", [asyncio.CancelledError(), trio.Cancelled._create(source="explicit")]
)
def test_a_cancelled_exception_means_409_only_if_cancel_was_delivered(
    cancelled_error: BaseException,
) -> None:
    """Without CANCEL the handler has raised it by hand: that is a usage error."""
    group = BaseExceptionGroup("only", [cancelled_error])

    for error in (cancelled_error, group):
        assert Failure(409, "cancelled") == outcome(error, cancelled=True)
        found = outcome(error)
        assert isinstance(found, Retry)
        assert isinstance(found.error, UsageError)
        assert found.error.__cause__ is error


def test_cancelled_leaves_of_a_group_do_not_speak() -> None:
    """Only errors do."""
    group = BaseExceptionGroup("both", [asyncio.CancelledError(), TerminalError("no", 404)])

    assert Failure(404, "no") == outcome(group)


def test_a_handler_that_raises_the_host_s_cancelled_exception_is_told(backend: str) -> None:
    """Nothing is journaled as cancelled."""

    async def handler(ctx: Context) -> None:
        import anyio

        raise (
            asyncio.CancelledError
            if anyio.get_cancelled_exc_class() is asyncio.CancelledError
            else trio.Cancelled._create(source="explicit")
        )

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)


def test_a_command_that_can_never_work_fails_at_its_line(backend: str) -> None:
    """The adapter refuses it; catching the error does not help, since a replay would diverge."""

    async def handler(ctx: Context) -> str:
        with contextlib.suppress(UsageError):
            await ctx.call(PEER, "x")
        return await ctx.run(give, "went on")

    world = World(service_handler(handler), unknown={"Peer"})
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert [Input(b"")] == world.entries


def test_an_error_of_a_call_is_its_terminal_error(backend: str) -> None:
    """With its class: cancelled, timed out, refused for its input, or plain."""

    async def handler(ctx: Context) -> list[str]:
        found: list[str] = []
        for name in ("cancelled", "late", "refused", "plain", "conflict"):
            with pytest.raises(TerminalError) as raised:
                await ctx.call(PEER, name, name=name)
            found.append(type(raised.value).__name__)
        return found

    failures = {
        "cancelled": Failure(409, "cancelled"),
        "late": Failure(408, "timed out"),
        "refused": Failure(400, "no int"),
        "plain": Failure(500, "no", (("a", "b"),)),
        "conflict": Failure(409, "conflict"),
    }

    expected = [
        "CancelledError",
        "InvocationTimeoutError",
        "InvalidInputError",
        "TerminalError",
        "TerminalError",
    ]

    def answer(call: Call) -> Failure:
        return failures[call.name]

    assert expected == value(service_handler(handler), backend, answer=answer)


def test_a_result_that_does_not_fit_is_raised_where_it_is_awaited(backend: str) -> None:
    """A callee that answers with another type fails the await, not the attempt."""
    number = remote("Peer", "number", input=str, output=int)

    async def handler(ctx: Context) -> str:
        call = ctx.call(number, "x")
        with pytest.raises(SerializationError):
            await call
        return call.status.name

    assert value(service_handler(handler), backend) == "FAILED"


def test_an_error_of_a_child_is_a_group(backend: str) -> None:
    """A terminal leaf in a nursery's group ends the invocation."""

    async def handler(ctx: Context) -> None:
        async def child() -> None:
            raise TerminalError("no", 404)

        async with open_nursery() as nursery:
            nursery.start_soon(child)

    assert Failure(404, "no") == failure(service_handler(handler), backend)

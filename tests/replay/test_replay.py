"""Replays of a recorded journal against the code of today: every outcome, and no effect."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from durable_trio import (
    Context,
    DefinitionError,
    Event,
    ForeignAwaitError,
    InvalidInputError,
    NonDeterminismError,
    ObjectContext,
    RetryableError,
    SerializationError,
    Service,
    ServiceOptions,
    ServiceRegistry,
    StoreCorruptError,
    StoreVersionError,
    TerminalError,
    UnknownServiceError,
    UsageError,
    VirtualObject,
    gather,
    open_nursery,
    remote,
    sleep,
)
from durable_trio.abc import (
    VOID,
    Completion,
    Failure,
    GetEagerState,
    GetState,
    GetStateKeys,
    Input,
    InvocationId,
    JournalHeader,
    OneWayCall,
    Output,
    Run,
    SetState,
    Signal,
    Value,
)
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore, RecordedJournal, Replay, ReplayOutcome, replay

from .parcels import ARRIVED, ON_ITS_WAY, Parcels, first, journal, version

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from durable_trio.testing._recording import Journal


def replayed(recorded: Journal, parcels: Parcels, backend: str, **options: Any) -> Replay:
    """What came of it; nothing may have been done."""
    result = anyio.run(partial(replay, **options), recorded, [parcels.service], backend=backend)
    assert [] == parcels.done
    return result


def line(function: Any, offset: int) -> str:
    """``file:line`` of a line of a function."""
    return f"{__file__}:{function.__code__.co_firstlineno + offset}"


def test_an_ended_invocation_replays_to_its_end(backend: str) -> None:
    """Everything is compared, up to the output."""
    result = replayed(journal(*ARRIVED), version(first), backend)

    assert ReplayOutcome.COMPLETED is result.outcome
    assert result.clean
    assert (9, 9) == (result.entries, result.reached)
    assert "inv_1AAAAAAAAAAAAAAAAAAAAAA replays cleanly to its end (9 entries)" == str(result)
    result.check()


def test_steps_without_result_are_not_executed(backend: str) -> None:
    """The record ends where a body would start, and that is told with its branch."""
    result = replayed(journal(*ON_ITS_WAY), version(first), backend)

    assert ReplayOutcome.CONTINUES is result.outcome
    assert result.clean
    (step,) = result.next_steps
    assert ("executes run 'leg[0]/drive'", "leg[0]") == (step.what, step.branch)
    assert "replays cleanly up to where it goes on at entry 6 of 6" in str(result)


def test_it_tells_where_the_code_waits(backend: str) -> None:
    """Branch, line and what is awaited."""
    result = replayed(journal(*ARRIVED[:7]), version(first), backend)

    assert ReplayOutcome.WAITING is result.outcome
    (step,) = result.next_steps
    assert ("waits for signal address", "") == (step.what, step.branch)
    assert step.site.endswith(f"parcels.py:{first.__code__.co_firstlineno + 11}")


def test_it_tells_how_far_the_code_came(backend: str) -> None:
    """The highest number, though a signal that came early is delivered late."""
    early = journal(Input(b'"A-17"'), Signal("address", Value(b'"x"')), Run(1, "pack"))
    result = replayed(early, version(first), backend)

    assert (3, ReplayOutcome.CONTINUES) == (result.reached, result.outcome)


def test_it_tells_what_the_code_would_do_next(backend: str) -> None:
    """A new command is where the record ends: nothing after it is done."""
    later: list[str] = []

    async def longer(parcels: Parcels, ctx: Context, order: str) -> str:
        await ctx.run(parcels.pack, order)
        ctx.run(parcels.weigh, order)
        later.append("went on")
        await sleep(1)
        raise AssertionError("not reached")

    result = replayed(journal(*ARRIVED[:3]), version(longer), backend)

    assert ReplayOutcome.CONTINUES is result.outcome
    (step,) = result.next_steps
    assert "goes on with Run('weigh', completion_id=2)" == step.what
    assert line(longer, 2) == step.site


def test_notifications_that_are_left_are_delivered_first(backend: str) -> None:
    """A command that is issued before them is new as well, and does not hide what they lead to."""

    async def eager(parcels: Parcels, ctx: Context, order: str) -> str:
        packed = ctx.run(parcels.pack, order)
        ctx.run(parcels.weigh, order)
        await packed
        raise ValueError("after the last notification")

    result = replayed(journal(*ARRIVED[:3]), version(eager), backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert f"{line(eager, 4)}: ValueError: after the last notification" in str(result)


def test_an_end_that_was_not_recorded_yet(backend: str) -> None:
    """The output is a new command as any other."""

    async def shorter(parcels: Parcels, ctx: Context, order: str) -> str:
        return await ctx.run(parcels.pack, order)

    result = replayed(journal(*ARRIVED[:3]), version(shorter), backend)

    assert ReplayOutcome.CONTINUES is result.outcome
    assert "goes on with Output('', result=Value(content=b'\"A-17 packed\"'))" in str(result)


def test_branches_that_wait_for_each_other(backend: str) -> None:
    """Each is named with its line, though none waits for an entry."""

    async def stuck(_: Parcels, ctx: Context, order: str) -> str:
        event = Event()
        async with open_nursery() as nursery:
            nursery.start_soon(event.wait, name="patient")
        return order

    result = replayed(journal(Input(b'"A-17"')), version(stuck), backend)

    assert ReplayOutcome.WAITING is result.outcome
    assert ["", "patient[0]"] == [step.branch for step in result.next_steps]


def test_steps_awaited_together_are_all_named(backend: str) -> None:
    """Also those that no branch awaits by themselves."""

    async def both(parcels: Parcels, ctx: Context, order: str) -> str:
        return str(await gather(ctx.run(parcels.pack, order), ctx.run(parcels.drive, 0)))

    recorded = journal(Input(b'"A-17"'), Run(1, "pack"), Run(2, "drive"))
    steps = [step.what for step in replayed(recorded, version(both), backend).next_steps]

    assert ["executes run 'pack'", "executes run 'drive'"] == steps[:2]


def test_a_divergence_is_shown_as_a_diff(backend: str) -> None:
    """With branch, line, and both commands; ``check`` raises it."""

    async def weighed(parcels: Parcels, ctx: Context, order: str) -> str:
        await ctx.run(parcels.weigh, order)
        return await ctx.run(parcels.pack, order)

    result = replayed(journal(*ARRIVED), version(weighed), backend)

    assert ReplayOutcome.DIVERGED is result.outcome
    assert not result.clean
    assert 2 == result.reached
    report = str(result)
    assert "diverges at entry 2 of 9" in report
    assert f"at:       {line(weighed, 1)}" in report
    assert "- Run('pack', completion_id=1)  (recorded)" in report
    assert "+ Run('weigh', completion_id=1)  (the code now)" in report
    with pytest.raises(NonDeterminismError, match="'weigh'"):
        result.check()


def test_a_divergence_in_a_branch_names_the_branch(backend: str) -> None:
    """So that it is found among many."""

    async def other_legs(parcels: Parcels, ctx: Context, order: str) -> str:
        await ctx.run(parcels.pack, order)

        async def leg(number: int) -> None:
            if number:
                await sleep(1)
            await ctx.run(parcels.drive, number)

        async with open_nursery() as nursery:
            nursery.start_soon(leg, 0)
            nursery.start_soon(leg, 1)
        return order

    report = str(replayed(journal(*ARRIVED), version(other_legs), backend))

    assert "branch:   leg[1]" in report
    assert "kind: Run was recorded, now it is Sleep" in report


def test_an_error_of_the_code_is_told_with_its_line(backend: str) -> None:
    """Of a group, every leaf."""

    async def broken(parcels: Parcels, ctx: Context, order: str) -> str:
        async def leg(number: int) -> None:
            await ctx.run(parcels.pack, order)
            raise LookupError(f"no road {number}")

        async with open_nursery() as nursery:
            nursery.start_soon(leg, 0)
        return order

    recorded = journal(Input(b'"A-17"'), Run(1, "leg[0]/pack"), Completion(1, Value(b'"p"')))
    result = replayed(recorded, version(broken), backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert f"{line(broken, 3)}: LookupError: no road 0" in str(result)
    with pytest.raises(ExceptionGroup):
        result.check()


def test_a_retry_that_is_asked_for_is_no_error(backend: str) -> None:
    """Where the record ends, that is; where it went on the code does something else."""

    async def polling(parcels: Parcels, ctx: Context, order: str) -> str:
        await ctx.run(parcels.pack, order)
        raise RetryableError("the road is closed", retry_after=60)

    ended = replayed(journal(*ARRIVED[:3]), version(polling), backend)
    going_on = replayed(journal(*ARRIVED), version(polling), backend)

    assert ReplayOutcome.CONTINUES is ended.outcome
    assert f"asks for a retry: the road is closed, at {line(polling, 2)}" in str(ended)
    assert ReplayOutcome.FAILED is going_on.outcome


def test_a_value_that_cannot_be_decoded_is_told(backend: str) -> None:
    """The error says what does not fit, at the line that awaits it."""

    async def retyped(_: Parcels, ctx: Context, order: str) -> str:
        del order
        return str(await ctx.signal("address", int))

    recorded = journal(Input(b'"A-17"'), Signal("address", Value(b'"Baker Street"')))
    result = replayed(recorded, version(retyped), backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert isinstance(result.error, SerializationError)
    assert line(retyped, 2) in str(result)
    assert "Baker Street" in str(result)


async def sends(ctx: Context) -> None:
    await ctx.send(remote("Mail", "post")).invocation_id()


async def lists(ctx: ObjectContext) -> None:
    await ctx.keys()


async def reads(ctx: ObjectContext) -> None:
    await ctx.get("total", int)


@pytest.mark.parametrize(
    ("handler", "command", "answer"),
    [
        (sends, OneWayCall("Mail", "post", b"", 1), VOID),
        (lists, GetStateKeys(1), VOID),
        (reads, GetState("total", 1), InvocationId("inv_1AAAAAAAAAAAAAAAAAAAAAA")),
    ],
)
def test_an_answer_of_another_kind_is_told(
    backend: str, handler: Any, command: Any, answer: Any
) -> None:
    """A damaged journal is no error of ours that nobody understands."""
    counter = VirtualObject("Counter")
    counter.handler(handler)
    header = JournalHeader("inv_1AAAAAAAAAAAAAAAAAAAAAA", "Counter", handler.__name__, key="k")
    recorded = RecordedJournal(header, (Input(b""), command, Completion(1, answer)))
    result = anyio.run(replay, recorded, [counter], backend=backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert isinstance(result.error, SerializationError)


def test_an_input_that_does_not_fit_any_more_is_told(backend: str) -> None:
    """Rather than taken for a handler that ends with 400."""
    parcels = version(first)

    async def ship(ctx: Context, order: int) -> None:
        raise AssertionError("not reached")

    numbered = Service("Parcels")
    numbered.handler(ship)
    result = anyio.run(replay, journal(*ON_ITS_WAY), [numbered], backend=backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert isinstance(result.error, InvalidInputError)
    assert "the input of Parcels/ship does not fit" in str(result)
    assert [] == parcels.done


def test_an_input_that_never_fitted_replays(backend: str) -> None:
    """The refusal was recorded, and is what the code does."""
    parcels = version(first)
    with pytest.raises(InvalidInputError) as raised:
        parcels.service.handlers["ship"].decode_input(b"17")

    refused = journal(Input(b"17"), Output(Failure(400, str(raised.value))))
    assert ReplayOutcome.COMPLETED is replayed(refused, parcels, backend).outcome


def test_a_foreign_await_is_found(backend: str) -> None:
    """A usage error fails a replay as it fails an attempt."""

    async def impatient(_: Parcels, ctx: Context, order: str) -> str:
        await anyio.sleep(3600)
        return order

    result = replayed(journal(Input(b'"A-17"')), version(impatient), backend)

    assert ReplayOutcome.FAILED is result.outcome
    assert isinstance(result.error, ForeignAwaitError)


def test_the_contexts_of_a_service_are_entered_only_if_asked_for(backend: str) -> None:
    """They open what run bodies need, and no body runs; code that needs them is told how."""
    opened: ContextVar[str] = ContextVar("opened")
    entered: list[str] = []

    @asynccontextmanager
    async def database() -> AsyncGenerator[None]:
        entered.append("database")
        opened.set("database")
        yield

    async def needs_it(parcels: Parcels, ctx: Context, order: str) -> str:
        await ctx.run(parcels.pack, opened.get())
        return order

    recorded = journal(*ARRIVED[:3])
    without = version(first, contexts=[database])
    needing = version(needs_it, contexts=[database])
    clean, failed = replayed(recorded, without, backend), replayed(recorded, needing, backend)

    assert clean.clean
    assert ReplayOutcome.FAILED is failed.outcome
    assert "LookupError" in str(failed)
    assert "replay it with them: contexts=True, or --contexts" in str(failed)
    assert [] == entered
    assert replayed(recorded, needing, backend, contexts=True).clean
    assert ["database"] == entered


def test_a_registry_brings_its_defaults(backend: str) -> None:
    """So that errors become what they become where the services are served."""

    async def broken(_: Parcels, ctx: Context, order: str) -> str:
        raise LookupError(order)

    def final(_: Exception) -> TerminalError:
        return TerminalError("not found", 404)

    registry = ServiceRegistry([version(broken).service], ServiceOptions(as_terminal_error=final))
    recorded = journal(Input(b'"A-17"'), Output(Failure(404, "not found")))

    assert anyio.run(replay, recorded, registry, backend=backend).clean


def test_state_that_is_not_recorded_is_not_absent(backend: str) -> None:
    """A new read is where the record ends; a recorded one is answered, eagerly or lazily."""
    counter = VirtualObject("Counter")

    @counter.handler
    async def add(ctx: ObjectContext, number: int) -> int:
        total = await ctx.get("total", int, default=0) + number
        ctx.set("total", total)
        assert total == await ctx.get("total", int)
        await ctx.get("unit", str)
        raise AssertionError("not reached")

    recorded = RecordedJournal(
        JournalHeader(service="Counter", handler="add", key="k"),
        (
            Input(b"2"),
            GetEagerState("total", Value(b"3")),
            SetState("total", b"5"),
            GetEagerState("total", Value(b"5")),
        ),
    )
    result = anyio.run(replay, recorded, [counter], backend=backend)

    assert ReplayOutcome.CONTINUES is result.outcome
    assert "goes on with GetState('', key='unit'" in str(result)


def test_chance_and_ids_are_those_of_the_invocation(backend: str) -> None:
    """A journal of the embedded runtime replays with its header alone."""
    dice = Service("Dice")

    @dice.handler
    async def throw(ctx: Context) -> str:
        awakeable, _ = ctx.awakeable(str)
        return f"{ctx.random.random()} {ctx.uuid4()} {awakeable} {ctx.request.id}"

    store = MemoryStore()

    async def main() -> None:
        async with LocalRuntime([dice], store) as runtime:
            await runtime.call(throw)

    anyio.run(main, backend=backend)
    (record,) = store.committed.invocations()
    header = JournalHeader(record.id, "Dice", "throw")
    recorded = RecordedJournal(header, store.committed.journal(record.id))

    assert ReplayOutcome.COMPLETED is anyio.run(replay, recorded, [dice]).outcome
    elsewhere = RecordedJournal(attrs.evolve(header, random_seed=1), recorded.entries)
    assert ReplayOutcome.DIVERGED is anyio.run(replay, elsewhere, [dice]).outcome


def test_it_works_inside_a_running_loop(backend: str) -> None:
    """As a test that is async itself has it, one after the other."""

    async def main() -> list[ReplayOutcome]:
        services = [version(first).service]
        return [(await replay(journal(*ARRIVED), services)).outcome for _ in range(2)]

    assert [ReplayOutcome.COMPLETED] * 2 == anyio.run(main, backend=backend)


# -- what is wrong with the question


def test_an_unknown_handler_is_told() -> None:
    """With those that there are."""
    with pytest.raises(UnknownServiceError, match=r"no handler 'send'.*ship"):
        replayed(journal(*ARRIVED, handler="send"), version(first), "trio")

    with pytest.raises(UnknownServiceError, match=r"no service 'Parcel'.*Parcels"):
        replayed(journal(*ARRIVED, service="Parcel"), version(first), "trio")


def test_services_that_cannot_be_served_are_told() -> None:
    """As a runtime would."""
    with pytest.raises(DefinitionError):
        anyio.run(replay, journal(*ARRIVED), [Service("Parcels")])


def test_a_journal_has_to_say_whose_it_is() -> None:
    """Otherwise nobody knows what to run."""
    with pytest.raises(UsageError, match='needs "service" and "handler"'):
        replayed(journal(*ARRIVED, service=None), version(first), "trio")


@pytest.mark.parametrize("entries", [(), (Run(1, "pack"),), (Signal(1, Value(b"")),)])
def test_a_journal_has_to_begin_with_its_input(entries: Any) -> None:
    """What does not is no journal."""
    with pytest.raises(StoreCorruptError, match="has to be the input"):
        journal(*entries)


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    """Its name is in the report, and in what is wrong with it."""
    path = tmp_path / "ship.jsonl"
    path.write_bytes(journal(*ARRIVED).dump())
    parcels = version(first)

    assert str(replayed(path, parcels, "trio")).startswith(f"{path} replays cleanly")
    assert replayed(str(path), parcels, "trio").clean
    assert replayed(path.read_bytes(), parcels, "trio").clean
    path.write_bytes(b"{}\n")
    with pytest.raises(StoreCorruptError, match=r"ship\.jsonl: line 1"):
        replayed(path, parcels, "trio")

    path.write_bytes(b'{"format":"durable_trio journal","version":99}\n')
    with pytest.raises(StoreVersionError, match=r"ship\.jsonl: line 1"):
        replayed(path, parcels, "trio")


@pytest.mark.parametrize("at", [0, 10])
def test_an_entry_that_is_not_there_is_told(at: int) -> None:
    """Before anything runs."""
    with pytest.raises(UsageError, match="entries 1 to 9"):
        replayed(journal(*ARRIVED), version(first), "trio", at=at)

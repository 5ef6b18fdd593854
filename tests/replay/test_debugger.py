"""Stopping a replay in a debugger at a chosen entry."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio.testing import ReplayOutcome, replay

from .parcels import ARRIVED, Parcels, first, journal, version

if TYPE_CHECKING:
    from types import FrameType

    from durable_trio import Context


class Debugger:
    """Stands in for one: notes where it was called, and may leave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, leaves: bool = False) -> None:
        self.frames: list[FrameType] = []
        self._leaves = leaves
        monkeypatch.setattr(sys, "breakpointhook", self)

    def __call__(self) -> None:
        self.frames.append(sys._getframe(1))
        if self._leaves:
            raise KeyboardInterrupt


def stopped(at: int, backend: str, body: Any = first) -> Any:
    """What a replay that stops there gives."""
    services = [version(body).service]
    return anyio.run(partial(replay, at=at), journal(*ARRIVED), services, backend=backend)


def test_it_stops_at_a_command_under_the_line_that_does_it(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The handler is so many frames up, with its variables, and then goes on."""
    debugger = Debugger(monkeypatch)
    result = stopped(5, backend)

    assert ReplayOutcome.COMPLETED is result.outcome
    (frame,) = debugger.frames
    assert ARRIVED[4] == frame.f_locals["recorded"] == frame.f_locals["now"]
    told = capsys.readouterr().err
    assert "entry 5 is Run(completion_id=3, name='leg[1]/drive')" in told
    for _ in range(int(told.split(" frames up")[0].split(", ")[-1])):
        assert frame.f_back is not None
        frame = frame.f_back
    assert "leg" == frame.f_code.co_name
    assert 1 == frame.f_locals["number"]


def test_it_stops_before_a_notification_is_delivered(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And tells who waits where."""
    debugger = Debugger(monkeypatch)
    result = stopped(6, backend)

    assert ReplayOutcome.COMPLETED is result.outcome
    (frame,) = debugger.frames
    assert ARRIVED[5] == frame.f_locals["recorded"]
    assert "leg[0] at " in capsys.readouterr().err


def test_it_stops_before_a_divergence(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded and what the code does are both there to look at."""

    async def weighed(parcels: Parcels, ctx: Context, order: str) -> str:
        return str(await ctx.run(parcels.weigh, order))

    debugger = Debugger(monkeypatch)
    result = stopped(2, backend, weighed)

    assert ReplayOutcome.DIVERGED is result.outcome
    (frame,) = debugger.frames
    assert "pack" == frame.f_locals["recorded"].name
    assert "weigh" == frame.f_locals["now"].name


def test_it_stops_before_the_handler_starts(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The input is entry 1."""
    debugger = Debugger(monkeypatch)

    assert stopped(1, backend).clean
    assert 1 == len(debugger.frames)


@pytest.mark.parametrize("at", [1, 5, 6])
def test_leaving_the_debugger_ends_the_replay(
    at: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises comes out as it is."""
    debugger = Debugger(monkeypatch, leaves=True)
    with pytest.raises(KeyboardInterrupt):
        stopped(at, backend)

    assert 1 == len(debugger.frames)

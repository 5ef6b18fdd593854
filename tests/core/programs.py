"""Random programs as data: what a handler may do, as a Hypothesis strategy.

Owns the shape of programs. What they mean is ``interpreter.py``'s.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import attrs
from hypothesis import strategies as st

Name: TypeAlias = Literal["a", "b"]
OnCancel: TypeAlias = Literal["request", "wait", "abandon"]
How: TypeAlias = Literal[
    "gather",
    "wait_all",
    "wait_first",
    "first_success",
    "as_completed",
    "as_completed once",
    "select",
    "nested",
]


# -- leaves that are futures


@attrs.frozen
class Run:
    """A step. Its body waits for the world, and then ends in the given way."""

    outcome: Literal["ok", "fail", "flaky", "inline"] = "ok"


@attrs.frozen
class Call:
    """A call; ``never`` ends only when it is cancelled."""

    outcome: Literal["ok", "fail", "never"] = "ok"
    on_cancel: OnCancel = "request"


@attrs.frozen
class Timer:
    """A timer."""

    seconds: int = 1


@attrs.frozen
class Awakeable:
    """An awakeable, which the world may resolve."""


@attrs.frozen
class Named:
    """A named signal."""

    name: Name = "a"


Operation: TypeAlias = Run | Call | Timer | Awakeable | Named


# -- other leaves


@attrs.frozen
class State:
    """An access to the state."""

    do: Literal["get", "set", "clear", "clear_all", "keys"] = "get"
    key: Name = "a"


@attrs.frozen
class Promise:
    """An access to a durable promise."""

    do: Literal["get", "peek", "resolve", "reject"] = "get"
    key: Name = "a"


@attrs.frozen
class Peer:
    """Something with another invocation; ``resolve`` and ``reject`` end an awakeable of its own."""

    do: Literal[
        "send", "send and cancel", "attach", "output", "signal", "call id", "resolve", "reject"
    ] = "send"


@attrs.frozen
class Chance:
    """Time and chance: ``ctx.now``, ``ctx.random`` and ``ctx.uuid4``."""


@attrs.frozen
class Checkpoint:
    """A turn for everybody else."""


@attrs.frozen
class Raise:
    """An error."""

    kind: Literal["terminal", "plain"] = "terminal"


@attrs.frozen
class Signal:
    """Something done with a primitive that all tasks share."""

    do: Literal["set", "wait", "notify", "await notification", "send", "receive", "close"] = "set"
    name: Name = "a"


Leaf: TypeAlias = State | Promise | Peer | Chance | Checkpoint | Raise | Signal


# -- composites


@attrs.frozen
class Seq:
    """One after the other."""

    steps: tuple[Program, ...]


@attrs.frozen
class Nursery:
    """Concurrently. ``cancel``: the body cancels the nursery once ``body`` is done."""

    children: tuple[Program, ...]
    body: Program
    cancel: bool = False


@attrs.frozen
class Scope:
    """In a cancel scope that may have a deadline, a shield, and may be cancelled at once."""

    body: Program
    deadline: int | None = None
    shield: bool = False
    cancel: Literal["never", "before", "inside", "unshield"] = "never"
    new_deadline: int | None = None


@attrs.frozen
class FailAfter:
    """With a deadline that raises."""

    body: Program
    seconds: int = 1


@attrs.frozen
class Try:
    """Errors are caught; ``swallow``: cancellation is, too."""

    body: Program
    swallow: bool = False


@attrs.frozen
class Cleanup:
    """With a shielded cleanup."""

    body: Program
    cleanup: Program


@attrs.frozen
class Race:
    """The first wins."""

    racers: tuple[Program, ...]


@attrs.frozen
class Amap:
    """A bounded fan-out."""

    body: Program
    items: int = 2
    limit: int | None = None


@attrs.frozen
class Combine:
    """Several operations and one child at once. ``twice``: the first one is given twice."""

    how: How
    operations: tuple[Operation, ...]
    child: Program | None = None
    twice: bool = False


@attrs.frozen
class Hot:
    """Operations that are started; one is awaited, another one is left, cancelled or detached."""

    left: Operation
    awaited: Program
    what: Literal["leave", "cancel", "detach", "await", "wait"] = "leave"


@attrs.frozen
class Child:
    """A child whose handle is cancelled after ``before``, or awaited."""

    body: Program
    before: Program
    cancel: bool = True


@attrs.frozen
class Spawn:
    """A child in the nursery around, which may be joining its children by then."""

    body: Program


@attrs.frozen
class Guarded:
    """Inside of a lock, semaphore or limiter that all tasks share."""

    by: Literal["lock", "semaphore", "limiter"]
    body: Program


Program: TypeAlias = (
    Operation
    | Leaf
    | Seq
    | Nursery
    | Scope
    | FailAfter
    | Try
    | Cleanup
    | Race
    | Amap
    | Combine
    | Hot
    | Child
    | Spawn
    | Guarded
)

_names = st.sampled_from(["a", "b"])
_seconds = st.sampled_from([1, 2, 5, 60])
_on_cancel = st.sampled_from(["request", "request", "wait", "abandon"])

operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Run, st.sampled_from(["ok", "ok", "ok", "fail", "flaky", "inline"])),
    st.builds(Run, st.sampled_from(["ok", "ok", "ok", "fail", "flaky", "inline"])),
    st.builds(Call, st.sampled_from(["ok", "ok", "fail", "never"]), _on_cancel),
    st.builds(Call, st.sampled_from(["ok", "ok", "fail", "never"]), _on_cancel),
    st.builds(Timer, _seconds),
    st.builds(Awakeable),
    st.builds(Named, _names),
)
"""Operations that are futures."""

leaves: st.SearchStrategy[Leaf] = st.one_of(
    st.builds(State, st.sampled_from(["get", "set", "clear", "clear_all", "keys"]), _names),
    st.builds(Promise, st.sampled_from(["get", "peek", "resolve", "reject"]), _names),
    st.builds(
        Peer,
        st.sampled_from(
            [
                "send",
                "send and cancel",
                "attach",
                "output",
                "signal",
                "call id",
                "resolve",
                "reject",
            ]
        ),
    ),
    st.builds(Chance),
    st.builds(Checkpoint),
    st.builds(Raise, st.sampled_from(["terminal", "plain"])),
    st.builds(
        Signal,
        st.sampled_from(
            ["set", "wait", "notify", "await notification", "send", "receive", "close"]
        ),
        _names,
    ),
)
"""What is no future and has no parts."""


def _several(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[tuple[Program, ...]]:
    return st.lists(inner, min_size=1, max_size=3).map(tuple)


def _composites(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    several = _several(inner)
    return st.one_of(
        st.builds(Seq, several),
        st.builds(Nursery, several, inner, st.booleans()),
        st.builds(
            Scope,
            inner,
            st.none() | _seconds,
            st.booleans(),
            st.sampled_from(["never", "never", "before", "inside", "unshield"]),
            st.none() | _seconds,
        ),
        st.builds(FailAfter, inner, _seconds),
        st.builds(Try, inner, st.booleans()),
        st.builds(Cleanup, inner, inner),
        st.builds(Race, several),
        st.builds(Amap, inner, st.integers(0, 3), st.none() | st.integers(1, 2)),
        st.builds(
            Combine,
            st.sampled_from(get_args(How)),
            st.lists(operations, min_size=1, max_size=3).map(tuple),
            st.none() | inner,
            st.booleans(),
        ),
        st.builds(
            Hot,
            operations,
            inner,
            st.sampled_from(["leave", "cancel", "detach", "await", "wait"]),
        ),
        st.builds(Child, inner, inner, st.booleans()),
        st.builds(Spawn, inner),
        st.builds(Guarded, st.sampled_from(["lock", "semaphore", "limiter"]), inner),
    )


def _deeper(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    return st.one_of(operations, leaves, _composites(inner), _composites(inner), _composites(inner))


programs: st.SearchStrategy[Program] = st.lists(
    st.builds(Try, _deeper(_deeper(_deeper(operations | leaves)))), min_size=1, max_size=4
).map(lambda steps: Seq(tuple(steps)))
"""Programs of every kind, up to four constructs deep."""

schedules = st.lists(st.integers(0, 99), max_size=80)
"""What happens next, as the world takes it: 0 is the oldest, from 95 on it comes from outside."""

"""A journal as a tree of branches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._transcript._describe import Words
from durable_trio._transcript._tree import Branch, Fate, Step, build_tree
from durable_trio.abc import (
    VOID,
    Call,
    Completion,
    Entry,
    Input,
    InvocationId,
    InvocationStatus,
    Run,
    SendSignal,
    Signal,
    Sleep,
    Value,
)

RUNNING, SUSPENDED = InvocationStatus.RUNNING, InvocationStatus.SUSPENDED
COMPLETED = InvocationStatus.COMPLETED


def outline(branch: Branch) -> list[object]:
    """Orders of steps; a list with its name first for a branch."""
    return [
        item.order if isinstance(item, Step) else [item.name, *outline(item)]
        for item in branch.items
    ]


def fates(branch: Branch) -> dict[int, Fate]:
    return {step.order: step.fate for _, step in branch.steps()}


def test_entries_are_sorted_into_branches() -> None:
    """By the path in their names, in the order of their first entry; answers join their commands."""
    entries: list[Entry] = [
        Input(b""),
        Run(1, "a[0]/x"),
        Run(2, "a[1]/b[0]/y"),
        Run(3, "z"),
        Completion(2, Value(b"2")),
        Run(4, "a[0]/x"),
        Signal("s", VOID),
        Run(5, "a[1]/w"),
    ]

    assert [1, ["a[0]", 2, 6], ["a[1]", ["b[0]", 3], 8], 4, 7] == outline(
        build_tree(entries, RUNNING)
    )


def test_a_name_that_only_looks_like_a_path_is_no_branch() -> None:
    """Slashes are allowed in names; a branch has a number."""
    tree = build_tree([Run(1, "https://example.com/a"), Run(2, "b[0]/c/d")], RUNNING)
    names = [step.name for _, step in tree.steps()]

    assert ["https://example.com/a", "c/d"] == names
    assert [1, ["b[0]", 2]] == outline(tree)


def test_an_answer_has_its_place() -> None:
    """The first answer counts; a second one, or one to nothing, stands for itself."""
    entries: list[Entry] = [
        Run(1, "x"),
        Completion(1, Value(b"1")),
        Completion(1, Value(b"2")),
    ]
    tree = build_tree([*entries, Completion(9, VOID)], RUNNING)
    run = next(iter(tree.steps()))[1]

    assert (2, Value(b"1")) == (run.result_order, run.result)
    assert [1, 4] == outline(tree)


@pytest.mark.parametrize(
    ("status", "timers", "expected"),
    [
        (RUNNING, None, {1: Fate.PENDING, 2: Fate.PENDING}),
        (RUNNING, {2}, {1: Fate.PENDING, 2: Fate.PENDING}),
        (RUNNING, set[int](), {1: Fate.PENDING, 2: Fate.DROPPED}),
        (SUSPENDED, {2}, {1: Fate.DROPPED, 2: Fate.PENDING}),
        (COMPLETED, {2}, {1: Fate.DROPPED, 2: Fate.DROPPED}),
    ],
)
def test_what_has_no_answer_is_pending_or_dropped(
    status: InvocationStatus, timers: set[int] | None, expected: dict[int, Fate]
) -> None:
    """A suspended invocation runs no body; a timer that is gone is awaited by nobody."""
    assert expected == fates(build_tree([Run(1, "x"), Sleep(5, 2, "y")], status, timers))


def test_a_branch_that_cancelled_its_callee_was_cancelled() -> None:
    """Its call is not waited for any more."""
    tree = build_tree(
        [
            Call("S", "h", b"", 1, 2, name="b[0]"),
            Completion(1, InvocationId("inv_1x")),
            SendSignal("inv_1x", 1, VOID, "b[0]"),
            SendSignal("inv_1y", 1, VOID, "c[0]"),
        ],
        RUNNING,
    )
    cancelled = {item.name: item.cancelled for item in tree.items if isinstance(item, Branch)}

    assert {"b[0]": True, "c[0]": False} == cancelled
    assert Fate.CANCELLED is fates(tree)[1]


def test_a_callee_that_answered_all_the_same_has_answered() -> None:
    """Asked to end or not."""
    tree = build_tree(
        [
            Call("S", "h", b"", 1, 2, name="b[0]"),
            Completion(1, InvocationId("inv_1x")),
            SendSignal("inv_1x", 1, VOID, "b[0]"),
            Completion(2, Value(b"3")),
        ],
        RUNNING,
    )

    assert Fate.DONE is fates(tree)[1]


def test_what_is_pending_and_what_nobody_asked_for_says_so() -> None:
    """A call that is not back; the id of an invocation that no command made."""
    tree = build_tree([Call("S", "h", b"", 1, 2), Completion(9, InvocationId("inv_1x"))], RUNNING)

    assert [
        "call S/h() - not back yet",
        "an answer that nobody asked for (9) = inv_1x",
    ] == [Words("inv_1y").step(step) for _, step in tree.steps()]


def test_a_branch_whose_last_wait_was_dropped_was_cancelled() -> None:
    """A deadline that did not pass is none of its waits."""
    tree = build_tree(
        [
            Run(1, "a[0]/x"),
            Completion(1, VOID),
            Run(2, "a[1]/x"),
            Run(3, "a[2]/x"),
            Completion(3, VOID),
            Sleep(5, 4, "a[2]/deadline"),
        ],
        COMPLETED,
    )
    cancelled = [item.cancelled for item in tree.items if isinstance(item, Branch)]

    assert [False, True, False] == cancelled
    assert not tree.cancelled


NAMES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2)).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
    max_size=4,
).map("/".join)


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=40))
def test_every_command_is_in_the_tree_once(made: list[tuple[str, bool]]) -> None:
    """In the branch that its name says, in the order of the journal within it."""
    entries: list[Entry] = []
    for number, (path, answered) in enumerate(made, start=1):
        entries.append(Run(number, f"{path}/x" if path else "x"))
        if answered:
            entries.append(Completion(number, VOID))
    steps = [(branch.path, step) for branch, step in build_tree(entries, RUNNING).steps()]

    assert sorted(step.order for _, step in steps) == [
        order for order, entry in enumerate(entries, start=1) if isinstance(entry, Run)
    ]
    for path, step in steps:
        assert isinstance(step.entry, Run)
        assert step.entry.name == (f"{path}/x" if path else "x")
    for path in {path for path, _ in steps}:
        orders = [step.order for each, step in steps if each == path]
        assert sorted(orders) == orders

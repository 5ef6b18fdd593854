"""A divergence between code and journal, and its report as a readable diff.

Owns what is shown to a person. Finding a divergence is the cursor's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from ._entries import Command

_MARKS: Final = {"same": " ", "recorded": "-", "now": "+"}

_CAUSES: Final = (
    "the code was changed while this invocation was in flight",
    "a branch depends on something that is not journaled: random, time, uuid, os.environ, a global",
    "the order of a set or of a directory listing decides what is done first",
    "an error's text or a traceback is part of a name or of a payload",
)
_REMEDY: Final = (
    "Take what decides from ctx.random, ctx.now(), ctx.uuid4() or the result of ctx.run(), or "
    "run this invocation on the code it was started with."
)
_BRANCH: Final = re.compile(r"((?:[^/]+\[\d+\]/)*[^/]+\[\d+\])(?:/|$)")


class Mismatch(Exception):  # internal: reported as NonDeterminismError
    """Raised by the cursor; ``now`` is None where the code waits, or has ended, instead of going on."""

    def __init__(
        self,
        *,
        recorded: Command | None,
        now: Command | None,
        last: Command | None,
        index: int,
        ended: bool = False,
    ) -> None:
        super().__init__(index)
        self.recorded = recorded
        self.now = now
        self.last = last
        self.index = index
        self.ended = ended


def branch_of(name: str) -> str:
    """The path of the branch that an entry's name carries; empty for the handler itself."""
    found = _BRANCH.match(name)
    return found.group(1) if found else ""


def describe(command: Command) -> str:
    """A command on one line: ``Run("download[3]/hash", completion_id=7)``."""
    fields = [
        f"{field.name}={_short(getattr(command, field.name))}"
        for field in attrs.fields(type(command))
        if field.name != "name" and getattr(command, field.name) != field.default
    ]
    return f"{type(command).__name__}({', '.join([repr(command.name), *fields])})"


def report(mismatch: Mismatch, *, branch: str, site: str) -> str:
    """The whole report: where, the diff, the last match, the likely causes, the remedy."""
    recorded, now = mismatch.recorded, mismatch.now
    lines = [
        "the code does not do what its journal says it did",
        f"  branch:   {branch or 'the handler itself'}",
        f"  at:       {site}",
        f"  command:  number {mismatch.index} (Input is 0)",
    ]
    if mismatch.last is not None:
        lines.append(f"  {_MARKS['same']} {describe(mismatch.last)}  (the last that matched)")
    lines.append(
        f"  {_MARKS['recorded']} {describe(recorded)}  (recorded)"
        if recorded is not None
        else f"  {_MARKS['recorded']} an answer to a later command  (recorded)"
    )
    lines.append(
        f"  {_MARKS['now']} {describe(now)}  (the code now)"
        if now is not None
        else f"  {_MARKS['now']} {'has ended' if mismatch.ended else 'waits'}  (the code now)"
    )
    if recorded is not None and now is not None:
        lines.extend(_differences(recorded, now))
    lines.append("likely causes:")
    lines.extend(f"  * {cause}" for cause in _CAUSES)
    lines.append(_REMEDY)
    return "\n".join(lines)


def _differences(recorded: Command, now: Command) -> list[str]:
    if type(recorded) is not type(now):
        return [f"  kind: {type(recorded).__name__} was recorded, now it is {type(now).__name__}"]

    return [
        f"  {field.name}: {_short(before)} was recorded, now it is {_short(after)}"
        for field in attrs.fields(type(recorded))
        if (before := getattr(recorded, field.name)) != (after := getattr(now, field.name))
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"

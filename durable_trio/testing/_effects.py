"""How often every step was executed, and how often it may have been.

Owns the count of executions, attempt by attempt, and the bound.

 1. In one attempt a run is executed at most once, and not at all if its result was recorded
    when the attempt began.
 2. A run whose result is a value was executed at least once.
 3. Only executions that succeeded count: what fails is tried again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from durable_trio._journal._entries import Run, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._chronicle import Chronicle, Known


@attrs.define(eq=False)
class _Attempt:
    """One attempt: which runs had results when it began, and what it executed."""

    recorded: frozenset[int]
    executed: Counter[int] = attrs.field(factory=Counter[int])


class Effects:
    """See the module's docstring."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._attempts: dict[str, list[_Attempt]] = {}

    def attempt(self, invocation_id: str) -> None:
        """An attempt begins."""
        known = self._chronicle.known[invocation_id]
        attempt = _Attempt(frozenset(known.answered))
        self._attempts.setdefault(invocation_id, []).append(attempt)

    def executed(self, invocation_id: str, completion_id: int) -> None:
        """The body of a run came to its end, without an error."""
        self._attempts[invocation_id][-1].executed[completion_id] += 1

    def wrong(self) -> str | None:
        """What was executed too often, or never, in words; None: nothing."""
        for invocation_id, known in self._chronicle.known.items():
            for problem in self._problems(known, self._attempts.get(invocation_id, [])):
                return f"{known.label}: {problem}"

        return None

    def _problems(self, known: Known, attempts: list[_Attempt]) -> Iterator[str]:
        for number, attempt in enumerate(attempts, start=1):
            for completion_id, times in attempt.executed.items():
                name = getattr(known.commands.get(completion_id), "name", completion_id)
                if completion_id in attempt.recorded:
                    yield (
                        f"the step {name!r} was executed in attempt {number}, although its result "
                        "was recorded"
                    )
                elif times > 1:
                    yield f"the step {name!r} was executed {times} times in attempt {number}"
        executed = sum((attempt.executed for attempt in attempts), Counter[int]())
        for completion_id, command in known.commands.items():
            if isinstance(command, Run) and not executed[completion_id]:
                result = known.results.get(completion_id)
                if isinstance(result, Value):
                    yield f"the step {command.name!r} has a result, and was never executed"

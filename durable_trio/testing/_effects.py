"""How often every step was executed, and how often it may have been.

Owns the count of executions, attempt by attempt, and the bound.

 1. In one attempt a step is executed no more often than the final journal has runs of its name
    whose results were not recorded when the attempt began.
 2. A run whose result is a value was executed at least once.
 3. Only executions that succeeded count: what fails is tried again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from durable_trio._journal._entries import Completion, Run, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._chronicle import Chronicle, Known


@attrs.define(eq=False)
class _Attempt:
    """One attempt: what was recorded when it began, and what it executed."""

    recorded: Counter[str]
    executed: Counter[str] = attrs.field(factory=Counter[str])


class Effects:
    """See the module's docstring."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._attempts: dict[str, list[_Attempt]] = {}

    def attempt(self, invocation_id: str) -> None:
        """An attempt begins."""
        known = self._chronicle.known[invocation_id]
        attempt = _Attempt(known.runs(answered=True))
        self._attempts.setdefault(invocation_id, []).append(attempt)

    def executed(self, invocation_id: str, name: str) -> None:
        """The body of a run came to its end, without an error."""
        self._attempts[invocation_id][-1].executed[name] += 1

    def wrong(self) -> str | None:
        """What was executed too often, or never, in words; None: nothing."""
        for invocation_id, known in self._chronicle.known.items():
            for problem in self._problems(known, self._attempts.get(invocation_id, [])):
                return f"{known.label}: {problem}"

        return None

    def _problems(self, known: Known, attempts: list[_Attempt]) -> Iterator[str]:
        runs = known.runs(answered=False)
        for number, attempt in enumerate(attempts, start=1):
            for name, times in attempt.executed.items():
                most = runs[name] - attempt.recorded[name]
                if times > most:
                    yield (
                        f"the step {name!r} was executed {times} times in attempt {number}, and "
                        f"at most {most} of its {runs[name]} runs were left to do"
                    )
        executed = sum((attempt.executed for attempt in attempts), Counter[str]())
        for name, times in _values(known).items():
            if executed[name] < times:
                yield (
                    f"the step {name!r} has {times} results in the journal, but was executed "
                    f"{executed[name]} times"
                )


def _values(known: Known) -> Counter[str]:
    results = {
        entry.completion_id: entry.result
        for entry in known.entries
        if isinstance(entry, Completion)
    }
    return Counter(
        command.name
        for number, command in known.commands.items()
        if isinstance(command, Run) and isinstance(results.get(number), Value)
    )

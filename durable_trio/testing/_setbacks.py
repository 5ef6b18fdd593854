"""What failed in a test, with the errors as they were raised.

Owns who failed, how often in a row, and the last error of each: records and journals have
only its text. What follows for whoever waits is ``_impasse.py``'s.

 1. A failure counts if nobody has asked for the time that passes: while the test itself waits
    for a time, however long, the failures until then are what it wants to see.
 2. A step that succeeds has not failed, nor has a handler whose journal has grown.
 3. What a policy ends before long does not fail for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from durable_trio._invocation import AttemptFailed
    from durable_trio._records import InvocationRecord
    from durable_trio._retry import InvocationRetryPolicy, RetryPolicy

MOST: Final = 1_000
"""After so many failures in a row nobody expects a success any more. It takes less than a second,
and with the default backoff of a step almost three hours of virtual time."""

_BEFORE_LONG: Final = 10 * MOST


@attrs.define
class Setback:
    """The failures in a row of one step, or of one handler."""

    error: BaseException
    """The last one."""
    ends: bool
    """Whether a policy ends it."""
    count: int = 0
    time: float = 0.0
    """When it last failed."""
    at_once: int = 0
    """How often it has failed at that time."""

    @property
    def final(self) -> bool:
        """Whether it fails for ever, as far as anybody can tell."""
        return self.count >= MOST and not self.ends

    @property
    def endless(self) -> bool:
        """Whether time will never pass, since it is tried again without a delay."""
        return self.at_once >= MOST and not self.ends


class Setbacks:
    """See the module's docstring. ``now`` tells the time, ``asked`` whether the test waits for one."""

    def __init__(self, now: Callable[[], float], asked: Callable[[], bool]) -> None:
        self._now = now
        self._asked = asked
        self.runs: dict[tuple[str, int], Setback] = {}
        """By invocation and completion id."""
        self.attempts: dict[str, Setback] = {}
        """By invocation. It stays known there what an invocation was paused for."""
        self.suspects: set[str] = set()
        """Those that may be paused, or may fail for ever."""

    def run_failed(
        self,
        invocation_id: str,
        number: int,
        error: Exception,
        policy: Callable[[int], RetryPolicy | None],
    ) -> Setback:
        """The body of a run raised an error that is not final. ``policy`` looks up its policy."""
        setback = self.runs.get((invocation_id, number))
        if setback is None:
            setback = Setback(error, _ends(policy(number)))
            self.runs[invocation_id, number] = setback
        self._again(setback, error)
        if setback.final:
            self.suspects.add(invocation_id)
        return setback

    def run_ended(self, invocation_id: str, number: int) -> None:
        """The body of a run succeeded, or failed for good."""
        self.runs.pop((invocation_id, number), None)

    def attempt_failed(
        self, record: InvocationRecord, end: AttemptFailed, policy: InvocationRetryPolicy
    ) -> Setback:
        """An attempt failed; the record says how many did since the journal last grew."""
        setback = self.attempts.get(record.id)
        if setback is None or record.retry_count == 1:
            setback = self.attempts[record.id] = Setback(end.error, ends=False)
        # A delay of its own choice is not the policy's, nor is how often.
        setback.ends = end.retry_after is None and policy.exhausted(_BEFORE_LONG)
        self.suspects.add(record.id)
        return self._again(setback, end.error)

    def forgive(self, invocation_id: str) -> None:
        """Somebody was told: whoever waits for it after that has the same patience again."""
        for (owner, _), setback in self.runs.items():
            if owner == invocation_id:
                setback.count = 0
        if invocation_id in self.attempts:
            self.attempts[invocation_id].count = 0

    def cause(self, invocation_id: str) -> BaseException | None:
        """What the last failed attempt of an invocation has raised; None: none has."""
        setback = self.attempts.get(invocation_id)
        return None if setback is None else setback.error

    def fails_for_ever(self, invocation_id: str, answered: Container[int | None]) -> bool:
        """Whether an invocation that backs off does so for ever; ``answered`` are steps that ended."""
        attempts = self.attempts.get(invocation_id)
        return (
            attempts is not None
            and attempts.final
            and all(
                setback.final
                for (owner, number), setback in self.runs.items()
                if owner == invocation_id and number not in answered
            )
        )

    def _again(self, setback: Setback, error: BaseException) -> Setback:
        now = self._now()
        setback.error = error
        setback.at_once = setback.at_once + 1 if setback.time == now else 1
        setback.time = now
        setback.count += not self._asked()
        return setback


def _ends(policy: RetryPolicy | None) -> bool:
    return policy is not None and policy.exhausted(_BEFORE_LONG, math.inf)

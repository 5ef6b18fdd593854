"""Entries as text: what was done, to what, and what came back.

Owns the words, one line an entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from durable_trio._invocation import awakeable_id
from durable_trio._journal import _entries as e
from durable_trio.local._ids import to_raw

from ._text import duration, instant, payload, plain, shortened
from ._tree import DEADLINE, Fate

if TYPE_CHECKING:
    from ._tree import Step

_ABSENT: Final = "(absent)"


@attrs.frozen
class Words:
    """How entries of one invocation are written. ``started_at`` is what timers are counted from."""

    invocation_id: str
    started_at: float | None = None
    full: bool = False

    def step(self, step: Step) -> str:
        """A step and its answer."""
        return f"{self.action(step)}{self._answer(step)}"

    def action(self, step: Step) -> str:
        """What a step did, without what came back."""
        name = plain(step.name)
        match step.entry:
            case e.Input(content=content, headers=headers):
                more = f", {len(headers)} headers" if headers else ""
                return f"input {self._payload(content)}{more}"
            case e.Output(result=result):
                return f"output{self._result(result)}"
            case e.Run():
                return f"run {name}"
            case e.Sleep(wake_up_time=time):
                word = name if name == DEADLINE else f"sleep {name}".rstrip()
                return f"{word} until {self._at(time / 1000)}"
            case e.Call() as call:
                return self._titled("call", name, self._request(call))
            case e.OneWayCall() as call:
                later = f" at {self._at(call.invoke_time / 1000)}" if call.invoke_time else ""
                return self._titled("send", name, f"{self._request(call)}{later}")
            case e.GetState(key=key) | e.GetEagerState(key=key):
                return f"get {plain(key)}"
            case e.GetStateKeys() | e.GetEagerStateKeys():
                return "keys"
            case e.SetState(key=key, content=content):
                return f"set {plain(key)} = {self._payload(content)}"
            case e.ClearState(key=key):
                return f"clear {plain(key)}"
            case e.ClearAllState():
                return "clear all state"
            case e.GetPromise(key=key):
                return f"promise {plain(key)}"
            case e.PeekPromise(key=key):
                return f"peek promise {plain(key)}"
            case e.CompletePromise(key=key, result=result):
                return f"complete promise {plain(key)}{self._result(result)}"
            case e.Attach(target=target):
                return f"attach to {_target(target)}"
            case e.GetOutput(target=target):
                return f"output of {_target(target)}"
            case e.SendSignal(target=target, signal=signal, result=result):
                if signal == e.CANCEL_SIGNAL:
                    return f"cancel {plain(target)}"

                return f"signal {_signal(signal)} to {plain(target)}{self._result(result)}"
            case e.CompleteAwakeable(awakeable_id=awakeable, result=result):
                return f"complete awakeable {plain(awakeable)}{self._result(result)}"
            case e.Signal(signal=signal, result=result):
                return self._arrival(signal, result)
            case e.Completion(completion_id=number, result=result):
                return f"an answer that nobody asked for ({number}){self._result(result)}"

    def _answer(self, step: Step) -> str:
        callee = f" [{plain(step.callee)}]" if step.callee is not None else ""
        match step.entry:
            case e.GetEagerState(result=result):
                return self._result(result)
            case e.GetEagerStateKeys(keys=keys):
                return self._result(e.StateKeys(keys))
            case e.Sleep() if step.result is not None:
                return " - passed"
            case e.CompletePromise() if step.result == e.VOID:
                return ""
            case e.GetOutput() | e.PeekPromise() if step.result == e.VOID:
                return " = (not ready)"
            case e.Sleep() if step.fate is Fate.PENDING:
                return " - not yet"
            case _ if step.fate is Fate.PENDING:
                return f"{callee} - not back yet"
            case _ if step.fate is Fate.CANCELLED:
                return f"{callee} - asked to end"
            case _ if step.fate is Fate.DROPPED:
                return f"{callee} - dropped"
            case _ if step.result is not None:
                return f"{callee}{self._result(step.result)}"
            case _:
                return callee

    def _result(self, result: e.Result) -> str:
        match result:
            case e.Value(content=content):
                return f" = {self._payload(content)}"
            case e.Failure(code=code, message=message):
                return f" ! {code} {shortened(message, full=self.full)}"
            case e.InvocationId(id=invocation_id):
                return f" = {plain(invocation_id)}"
            case e.StateKeys(keys=keys):
                return f" = {shortened(', '.join(keys), full=self.full) or '(none)'}"
            case e.Void():
                return f" = {_ABSENT}"

    def _arrival(self, signal: int | str, result: e.Result) -> str:
        if signal == e.CANCEL_SIGNAL:
            return "CANCEL arrived"

        if isinstance(signal, int) and signal >= e.FIRST_AWAKEABLE_SIGNAL:
            awakeable = awakeable_id(to_raw(self.invocation_id), signal)
            return f"awakeable {awakeable} arrived{self._result(result)}"

        return f"signal {_signal(signal)} arrived{self._result(result)}"

    def _request(self, call: e.Call | e.OneWayCall) -> str:
        target = target_name(call.service, call.key or None, call.handler)
        return f"{target}({self._payload(call.parameter) if call.parameter else ''})"

    def _titled(self, word: str, name: str, what: str) -> str:
        return f"{word} {name}: {what}" if name else f"{word} {what}"

    def _at(self, time: float) -> str:
        if self.started_at is None:
            return instant(time)

        return f"{instant(time)} (start + {duration(time - self.started_at)})"

    def _payload(self, content: bytes) -> str:
        return payload(content, full=self.full)


def target_name(service: str, key: str | None, handler: str) -> str:
    """``Service/handler`` or ``Service/key/handler``."""
    return plain(f"{service}/{handler}" if key is None else f"{service}/{key}/{handler}")


def _signal(signal: int | str) -> str:
    return plain(repr(signal)) if isinstance(signal, str) else str(signal)


def _target(target: e.Target) -> str:
    match target:
        case e.InvocationTarget(invocation_id=invocation_id):
            return plain(invocation_id)
        case e.IdempotentTarget(service=service, handler=handler, idempotency_key=key):
            return f"{target_name(service, target.key, handler)} with {plain(key)!r}"
        case e.WorkflowTarget(workflow=workflow, key=key):
            return plain(f"{workflow}/{key}")

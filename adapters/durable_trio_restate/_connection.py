"""One attempt as the server sees it: bytes in, bytes out, and no I/O.

Owns the phases of an attempt's stream and the translation between messages and what the
core's ``Attempt`` takes and gives. It is the ``Journal`` that the attempt writes to.
Moving the bytes is ``_exchange.py``'s.

 1. Nothing is handed to an attempt before the start message and exactly as many entries as
    it announced have arrived, and all of them were sound.
 2. Everything received is answered by the table ``_ACCEPTED``; what is not in it for the
    phase is a protocol violation, which ends the attempt and changes nothing else. What comes
    after it is not read.
 3. Commands are buffered until the attempt is quiescent; proposals are sent at once, since
    they refer to runs that were flushed when their bodies started.
 4. The stream ends with exactly one End, Suspension or Error. Nothing is sent after it.
 5. A suspension is never empty: it waits for CANCEL, too, until that has come. A server resumes
    at once what waits for a signal that has ever come.
"""

from __future__ import annotations

import enum
import math
import traceback
from typing import TYPE_CHECKING, Final, Protocol

from durable_trio._exceptions import NonDeterminismError, UsageError
from durable_trio._failures import described, spelled_out
from durable_trio._invocation import seed_of
from durable_trio._outcome import is_usage_error
from durable_trio.abc import (
    CANCEL_SIGNAL,
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    AttemptSuspended,
    AwaitKind,
    AwaitTree,
    CompleteAwakeable,
    Completion,
    Input,
    InvocationStart,
    Output,
    Run,
    Signal,
)

from ._entries import (
    FIRST_COMMAND,
    FIRST_NOTIFICATION,
    NOTIFICATIONS,
    SIGNAL_TYPE,
    command_type,
    decode_command,
    decode_notification,
    encode_command,
)
from ._errors import INTERNAL, UNSUPPORTED_FEATURE, ProtocolError, UnsupportedFeatureError
from ._frames import ACK_REQUESTED, DEFAULT_MAX_MESSAGE_SIZE, HEADER_SIZE, FrameBuffer
from ._messages import (
    CONTROL_CODECS,
    AwaitingOnMessage,
    Behavior,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    encode_control,
    encode_suspension,
    flattened,
)
from ._versions import check_supported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from durable_trio._options import OnJournalMismatch, OnUsageError
    from durable_trio.abc import Command, Entry, Failure, Notification, Value


class Phase(enum.Enum):
    """How far an attempt's stream has come."""

    WAITING = "waiting for the start message"
    BUFFERING = "buffering the journal"
    RUNNING = "running"
    BROKEN = "ending, since the server broke the protocol"
    CLOSED = "closed"


class Kind(enum.Enum):
    """What a message is to an attempt."""

    START = "a start message"
    COMMAND = "a command"
    NOTIFICATION = "a notification"
    ACK = "an acknowledgement of a run's result"
    OTHER = "a message that only an endpoint sends, or that is unknown"


_ACCEPTED: Final[Mapping[Phase, tuple[Kind, ...]]] = {
    Phase.WAITING: (Kind.START,),
    Phase.BUFFERING: (Kind.COMMAND, Kind.NOTIFICATION),
    Phase.RUNNING: (Kind.NOTIFICATION, Kind.ACK),
    Phase.BROKEN: (),
    Phase.CLOSED: (),
}

_NO_HEADERS: Final[Mapping[str, str]] = {}

_KINDS: Final[Mapping[int, Kind]] = {
    **dict.fromkeys(NOTIFICATIONS, Kind.NOTIFICATION),
    0x0000: Kind.START,
    0x0007: Kind.ACK,
}
"""The types of messages that a server sends, but for commands."""

_NEVER_SENT: Final = 16
"""A signal's index that nobody uses, for an attempt that waits for nothing any more."""

_LONGEST_DELAY: Final = 100 * 365 * 86_400 * 1000
"""Milliseconds: a server adds it to the time, and that has to fit its numbers."""

_AWAKEABLES: Final = ("sign_1", "prom_1")
"""What the ids of awakeables begin with, the second those of old versions of Restate."""

_LONGEST_TEXT: Final = 64 * 1024
"""Characters of an error's message and of its traceback: the server keeps those of each attempt."""

_BEHAVIORS: Final[Mapping[OnJournalMismatch | OnUsageError, Behavior]] = {
    "retry": Behavior.RETRY,
    "pause": Behavior.PAUSE,
    "fail": Behavior.FAIL,
}


class Receiver(Protocol):
    """What the connection needs of an attempt."""

    def deliver(self, notification: Notification) -> None: ...

    def close_input(self) -> None: ...

    def abort(self, error: Exception) -> None: ...


def _kind(type_: int) -> Kind:
    kind = _KINDS.get(type_)
    if kind is not None:
        return kind

    return Kind.COMMAND if FIRST_COMMAND <= type_ < FIRST_NOTIFICATION else Kind.OTHER


class Connection:
    """See the module's docstring. ``on_output`` is called when there are bytes to send."""

    __slots__ = (
        "_accepted",
        "_appended",
        "_attempt",
        "_commands",
        "_early",
        "_flushed",
        "_frames",
        "_handler",
        "_headers",
        "_input_closed",
        "_largest",
        "_message",
        "_on_mismatch",
        "_on_usage_error",
        "_output",
        "_proposed",
        "_recorded",
        "_service",
        "_signals",
        "on_output",
        "phase",
        "start",
        "version",
    )

    def __init__(
        self,
        version: int,
        service: str,
        handler: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        on_mismatch: OnJournalMismatch | None = None,
        on_usage_error: OnUsageError | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        on_output: Callable[[], object] = lambda: None,
    ) -> None:
        self.version = version
        self._enter(Phase.WAITING)
        self.start: InvocationStart | None = None
        """What the attempt starts with, once all of it has arrived; None again if it may not."""
        self.on_output = on_output
        self._service = service
        self._handler = handler
        self._headers = headers
        self._on_mismatch: OnJournalMismatch = on_mismatch or "retry"
        self._on_usage_error: OnUsageError = on_usage_error or "retry"
        self._largest = max_message_size + HEADER_SIZE
        self._frames = FrameBuffer(max_message_size)
        self._message: StartMessage | None = None
        self._recorded: list[Entry] = []
        self._commands: list[Command] = []
        self._appended: list[bytes] = []
        self._output: list[bytes] = []
        self._early: list[Notification] = []
        self._proposed: dict[int, Completion] = {}
        self._input_closed = False
        self._flushed = False
        self._signals: set[int | str] | None = None
        """Those that have come."""
        self._attempt: Receiver | None = None

    # -- what the server sends

    def receive(self, data: bytes) -> None:
        """Take bytes as they arrive. What is wrong with them ends the attempt, see ``phase``."""
        if not self._accepted:
            return

        try:
            self._frames.feed(data)
            for type_, _, payload in self._frames:
                self._take(type_, payload)
        except ProtocolError as error:
            self._violated(error)

    def receive_eof(self) -> None:
        """The server sends nothing more: it wants the attempt to suspend."""
        if self._input_closed:
            return

        self._input_closed = True
        if self.phase in {Phase.WAITING, Phase.BUFFERING}:
            expected = self._message.known_entries if self._message is not None else "a start and"
            self._violated(
                ProtocolError(
                    f"the server closed its stream after {len(self._recorded)} of {expected} "
                    "journal entries"
                )
            )
        elif self.phase is Phase.RUNNING:
            if not self._frames.is_empty:
                self._violated(ProtocolError("the server closed its stream within a message"))
            elif self._attempt is not None:
                self._attempt.close_input()

    def _take(self, type_: int, payload: bytes) -> None:
        kind = _kind(type_)
        if kind not in self._accepted:
            raise ProtocolError(
                f"while {self.phase.value}, the server sent {kind.value} (type 0x{type_:04X})"
            )

        if kind is Kind.NOTIFICATION:
            notification = self._notification(type_, payload)
            if self.phase is Phase.BUFFERING:
                self._record(notification)
            else:
                self._deliver(notification)
        elif kind is Kind.COMMAND:
            self._record(self._command(type_, payload))
        elif kind is Kind.START:
            self._begin(CONTROL_CODECS[type_].decode(payload))
        elif kind is Kind.ACK:
            self._acknowledged(CONTROL_CODECS[type_].decode(payload))

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._accepted = _ACCEPTED[phase]

    def _begin(self, message: StartMessage) -> None:
        if message.known_entries < 1:
            raise ProtocolError("an invocation without input: known_entries is 0", INTERNAL)

        self._message = message
        self._enter(Phase.BUFFERING)

    def _record(self, entry: Entry) -> None:
        assert self._message is not None
        self._recorded.append(entry)
        if len(self._recorded) == self._message.known_entries:
            if not self._commands:
                raise ProtocolError("the journal has no input")

            self.start = self._invocation_start(self._message)
            self._message = None
            self._enter(Phase.RUNNING)

    def _invocation_start(self, message: StartMessage) -> InvocationStart:
        return InvocationStart(
            invocation_id=message.debug_id,
            raw_id=message.id,
            service=self._service,
            handler=self._handler,
            recorded=self._recorded,
            key=message.key,
            random_seed=message.random_seed if self.version >= 6 else seed_of(message.id),
            state=message.state_map,
            partial_state=message.partial_state,
            attempt=message.retry_count + 1,
            retry_count=message.retry_count,
            # Without a failed attempt it is the time that nothing had to be done in.
            retry_elapsed=message.retry_duration / 1000 if message.retry_count else 0.0,
            attempt_headers=self._headers,
            idempotency_key=message.idempotency_key,
            scope=message.scope,
            limit_key=message.limit_key,
        )

    def _command(self, type_: int, payload: bytes) -> Command:
        command = decode_command(type_, payload)
        if (type(command) is Input) == bool(self._commands):
            raise ProtocolError("the journal does not begin with its input")

        self._commands.append(command)
        return command

    def _notification(self, type_: int, payload: bytes) -> Notification:
        notification = decode_notification(payload)
        if isinstance(notification, Signal) != (type_ == SIGNAL_TYPE):
            raise ProtocolError(
                f"a notification of type 0x{type_:04X} is a {type(notification).__name__.lower()}'s, "
                f"which it cannot be"
            )

        if isinstance(notification, Signal):
            if self._signals is None:
                self._signals = set()
            self._signals.add(notification.signal)
        return notification

    def _acknowledged(self, message: ProposeRunCompletionAckMessage) -> None:
        completion = self._proposed.pop(message.completion_id, None)
        if completion is None:
            raise ProtocolError(
                f"the server acknowledged run {message.completion_id}, of which no result was proposed"
            )

        self._deliver(completion)

    def _deliver(self, notification: Notification) -> None:
        if self._attempt is None:
            self._early.append(notification)
        else:
            self._attempt.deliver(notification)

    def _violated(self, error: ProtocolError) -> None:
        if self._attempt is not None:
            self._enter(Phase.BROKEN)
            self._frames = FrameBuffer()
            self._attempt.abort(error)
        else:
            self.start = None
            self._close(encode_control(ErrorMessage(code=error.code, message=str(error))))

    # -- the attempt

    def attach(self, attempt: Receiver) -> None:
        """Hand what arrives from now on, and what came early, to the attempt."""
        self._attempt = attempt
        for notification in self._early:
            attempt.deliver(notification)
        self._early.clear()
        if self._input_closed:
            attempt.close_input()

    def append(self, command: Command) -> None:
        """Take the next command. ``UsageError`` if the protocol cannot express it."""
        check_supported(command, self.version)
        if isinstance(command, CompleteAwakeable):
            _check_awakeable(command.awakeable_id)
        try:
            encoded = encode_command(command)
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{error.object!r} is no valid Unicode ({error.reason}), so it cannot be sent as a "
                "name, key or header; decode it with the encoding that it really has"
            ) from error
        except (AttributeError, TypeError) as error:
            raise UsageError(
                f"cannot be sent: {command!r}. Names, keys, ids and headers are str, and one of them "
                f"is not ({error}): pass a str"
            ) from error

        if len(encoded) > self._largest:
            name = f" {command.name!r}" if command.name else ""
            raise self._too_large(encoded, f"the command {type(command).__name__}{name}")

        self._commands.append(command)
        self._appended.append(encoded)

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """Send a run's result, which counts when the server has answered."""
        if self.phase is Phase.CLOSED:
            return

        try:
            check_supported(result, self.version)
        except UnsupportedFeatureError as error:
            if self._attempt is not None:
                self._attempt.abort(error)
            return

        acknowledged = self.version >= 7
        message = ProposeRunCompletionMessage(completion_id, result)
        encoded = encode_control(message, ACK_REQUESTED if acknowledged else 0)
        if len(encoded) > self._largest:
            if self._attempt is not None:
                what = f"the result of the run {self._name_of_run(completion_id)!r}"
                self._attempt.abort(self._too_large(encoded, what))
            return

        if acknowledged:
            self._proposed[completion_id] = Completion(completion_id, result)
        self._send(encoded)

    def _name_of_run(self, completion_id: int) -> str:
        runs = (each for each in self._commands if isinstance(each, Run))
        return next((run.name for run in runs if run.completion_id == completion_id), "")

    def _too_large(self, encoded: bytes, what: str) -> UsageError:
        # The server ends the attempt that sends it, and tells nobody but its own log why.
        return UsageError(
            f"{what} has {len(encoded) - HEADER_SIZE} bytes, and a message may have "
            f"{self._largest - HEADER_SIZE}: keep large values elsewhere and pass on where they are, "
            "or raise the server's message-size-limit and endpoint(max_message_size=)"
        )

    def forget(self, completion_id: int) -> None:
        """Nothing to do: the server keeps its timers."""

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """Send what was appended and, from V7 on, what the attempt waits for.

        After its output the attempt ends at once, and that is sent together.
        """
        if self.phase is Phase.CLOSED or (self._appended and type(self._commands[-1]) is Output):
            return

        written, self._appended = self._appended, []
        if self.version >= 7 and not executing and not self._input_closed:
            written.append(encode_control(AwaitingOnMessage(self._awaited(awaiting()))))
        if written:
            self._send(b"".join(written))
        elif not self._flushed:
            # There is nothing to say yet, but now that is known: the response can begin.
            self.on_output()
        self._flushed = True

    def finish(self, end: AttemptEnd) -> None:
        """The attempt has ended: send what is left, and the message that says how."""
        if isinstance(end, AttemptCompleted):
            self._close(encode_control(EndMessage()))
        elif isinstance(end, AttemptSuspended):
            self._close(encode_suspension(self._awaited(end.awaiting), self.version))
        else:
            self._close(encode_control(self._error(end)))

    def is_resumed_at_once(self, end: AttemptEnd) -> bool:
        """Whether it waits for another signal of a name that one has come under.

        The server looks for the name in the journal, and finds the one that has come.
        """
        if self._signals is None or not isinstance(end, AttemptSuspended):
            return False

        return not self._signals.isdisjoint(flattened(self._awaited(end.awaiting)).signals)

    def _awaited(self, tree: AwaitTree) -> AwaitTree:
        if self._signals is None or CANCEL_SIGNAL not in self._signals:
            if CANCEL_SIGNAL in tree.signals and tree.kind is AwaitKind.FIRST_COMPLETED:
                return tree

            return AwaitTree(AwaitKind.FIRST_COMPLETED, signals=(CANCEL_SIGNAL,), nested=(tree,))

        signals = tuple(signal for signal in tree.signals if signal != CANCEL_SIGNAL)
        if not (tree.completions or signals or tree.nested):
            signals = (_NEVER_SENT,)
        return AwaitTree(tree.kind, tree.completions, signals, tree.nested)

    def _error(self, end: AttemptFailed) -> ErrorMessage:
        behavior = Behavior.RETRY
        if isinstance(end.error, NonDeterminismError):
            behavior = _BEHAVIORS[self._on_mismatch]
        elif is_usage_error(end.error):
            behavior = _BEHAVIORS[self._on_usage_error]
        index = len(self._commands) - 1 if end.command_index is None else end.command_index
        related = self._commands[index] if 0 <= index < len(self._commands) else None
        delay = end.retry_after
        return ErrorMessage(
            code=_code_of(end),
            message=_shortened(end.failure.message),
            stacktrace=_traceback_of(end.error),
            related_command_index=index if related is not None else None,
            related_command_name=related.name if related is not None else None,
            related_command_type=command_type(related) if related is not None else None,
            next_retry_delay=None if delay is None else _milliseconds(delay),
            behavior=behavior if self.version >= 7 else Behavior.RETRY,
        )

    # -- what is to be sent

    def take_output(self) -> bytes:
        """What is to be sent now; empty if there is nothing."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    @property
    def closed(self) -> bool:
        """Whether the last message of the stream was made."""
        return self.phase is Phase.CLOSED

    def _send(self, data: bytes) -> None:
        self._output.append(data)
        self.on_output()

    def _close(self, terminator: bytes) -> None:
        if self.phase is not Phase.CLOSED:
            self._enter(Phase.CLOSED)
            self._send(b"".join([*self._appended, terminator]))


def _check_awakeable(text: str) -> None:
    # A server fails the attempt that sends another one, and says no more of it than that.
    if not str(text).startswith(_AWAKEABLES):
        raise UsageError(
            f"{text!r} is no awakeable id, which begins with {_AWAKEABLES[0]!r}: pass on, unchanged, "
            "the id that ctx.awakeable() gave"
        )


def _milliseconds(delay: float) -> int:
    return math.ceil(min(max(0.0, delay * 1000), _LONGEST_DELAY))


def _code_of(end: AttemptFailed) -> int:
    if isinstance(end.error, ProtocolError):
        return end.error.code

    if isinstance(end.error, UnsupportedFeatureError):
        return UNSUPPORTED_FEATURE

    return end.failure.code


def _traceback_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as problem:  # what a user's error is made of may fail at anything
        text = f"<no traceback can be made of it: {described(problem)}>"
    # What matters is at its end: where the error was raised.
    return _shortened(text[-_LONGEST_TEXT:])


def _shortened(text: str) -> str:
    return spelled_out(text[:_LONGEST_TEXT])

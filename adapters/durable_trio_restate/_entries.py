"""Entries as messages: the table of commands, and the one template of notifications.

Owns which entry is which message, field by field. What entries mean is said by
``durable_trio._journal._entries``.

 1. ``COMMANDS`` is the whole mapping; a command that is not in it cannot be sent.
 2. All notifications share one template; the message type only repeats what the entry
    they answer says.
 3. Runs and their results are most of a journal. Their shortest forms have readers of their own,
    which read them as the table does and know no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from durable_trio import IdempotentTarget, WorkflowTarget
from durable_trio._frozen import frozen
from durable_trio.abc import (
    Attach,
    Call,
    ClearAllState,
    ClearState,
    Command,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    GetEagerState,
    GetEagerStateKeys,
    GetOutput,
    GetPromise,
    GetState,
    GetStateKeys,
    Input,
    InvocationTarget,
    Notification,
    OneWayCall,
    Output,
    PeekPromise,
    Result,
    Run,
    SendSignal,
    SetState,
    Signal,
    Sleep,
    StateKeys,
    Value,
)

from ._errors import BAD_REQUEST, REMEDY, ProtocolError
from ._fields import (
    FAILURE,
    INVOCATION_ID,
    STATE_KEYS,
    VALUE,
    VOID_RESULT,
    Codec,
    Field,
    MessageCodec,
    Opaque,
    blob,
    either,
    name,
    oneof,
    optional_text,
    optional_uint,
    pairs,
    scan,
    text,
    uint,
    utf8,
)
from ._frames import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_COMMAND: Final = 0x0400
FIRST_NOTIFICATION: Final = 0x8000
SIGNAL_TYPE: Final = 0xFBFF
RUN_TYPE: Final = 0x0411
RUN_COMPLETION_TYPE: Final = 0x8011

NOTIFICATIONS: Final = frozenset(
    {0x8002, 0x8006, 0x8009, 0x800A, 0x800B, 0x800C, 0x800D, 0x800E, 0x8011, 0x8012, 0x8013}
    | {SIGNAL_TYPE}
)
"""The types of all notifications."""

_NAME: Final = text("name", 12)
_COMPLETION: Final = uint("completion_id", 11)
_TARGETS: Final[Mapping[int, MessageCodec]] = {
    1: Opaque(
        InvocationTarget,
        lambda value: value.invocation_id.encode(),
        lambda data: InvocationTarget(INVOCATION_ID.decode(data).id),
    ),
    3: Codec(
        IdempotentTarget,
        text("service", 1),
        optional_text("key", 2),
        text("handler", 3),
        text("idempotency_key", 4),
        optional_text("scope", 5),
    ),
    4: Codec(WorkflowTarget, text("workflow", 1), text("key", 2), optional_text("scope", 3)),
}
_VALUE_CONTENT: Final = Opaque(
    bytes,
    lambda content: VALUE.encode(Value(content)),
    lambda data: VALUE.decode(data).content,
)
"""Bytes that the wire has in a message around them, and the entry has not."""


def _content(attribute: str, number: int) -> Field:
    """Bytes that have a message around them; both may be missing."""
    return attrs.evolve(oneof(attribute, {number: _VALUE_CONTENT}), default=b"")


def _keys(attribute: str, number: int) -> Field:
    """The names of state entries, with a message around them."""
    names = Opaque(
        tuple,
        lambda keys: STATE_KEYS.encode(StateKeys(keys)),
        lambda data: STATE_KEYS.decode(data).keys,
    )
    return attrs.evolve(oneof(attribute, {number: names}), default=())


_COMMANDS: Final[tuple[tuple[int, Codec[Any]], ...]] = (
    (0x0400, Codec(Input, pairs("headers", 1), _content("content", 14), _NAME)),
    (0x0401, Codec(Output, oneof("result", {14: VALUE, 15: FAILURE}), _NAME)),
    (0x0402, Codec(GetState, name("key", 1), _COMPLETION, _NAME)),
    (0x0403, Codec(SetState, name("key", 1), _content("content", 3), _NAME)),
    (0x0404, Codec(ClearState, name("key", 1), _NAME)),
    (0x0405, Codec(ClearAllState, _NAME)),
    (0x0406, Codec(GetStateKeys, _COMPLETION, _NAME)),
    (
        0x0407,
        Codec(GetEagerState, name("key", 1), oneof("result", {13: VOID_RESULT, 14: VALUE}), _NAME),
    ),
    (0x0408, Codec(GetEagerStateKeys, _keys("keys", 14), _NAME)),
    (0x0409, Codec(GetPromise, text("key", 1), _COMPLETION, _NAME)),
    (0x040A, Codec(PeekPromise, text("key", 1), _COMPLETION, _NAME)),
    (
        0x040B,
        Codec(
            CompletePromise,
            text("key", 1),
            oneof("result", {2: VALUE, 3: FAILURE}),
            _COMPLETION,
            _NAME,
        ),
    ),
    (0x040C, Codec(Sleep, uint("wake_up_time", 1), _COMPLETION, _NAME)),
    (
        0x040D,
        Codec(
            Call,
            text("service", 1),
            text("handler", 2),
            blob("parameter", 3),
            pairs("headers", 4),
            text("key", 5),
            optional_text("idempotency_key", 6),
            optional_text("scope", 7),
            optional_text("limit_key", 8),
            uint("invocation_id_completion", 10),
            _COMPLETION,
            _NAME,
        ),
    ),
    (
        0x040E,
        Codec(
            OneWayCall,
            text("service", 1),
            text("handler", 2),
            blob("parameter", 3),
            uint("invoke_time", 4),
            pairs("headers", 5),
            text("key", 6),
            optional_text("idempotency_key", 7),
            optional_text("scope", 8),
            optional_text("limit_key", 9),
            uint("invocation_id_completion", 10),
            _NAME,
        ),
    ),
    (
        0x0410,
        Codec(
            SendSignal,
            text("target", 1),
            either("signal", uint("signal", 2), text("signal", 3)),
            oneof("result", {4: VOID_RESULT, 5: VALUE, 6: FAILURE}),
            _NAME,
        ),
    ),
    (RUN_TYPE, Codec(Run, _COMPLETION, _NAME)),
    (0x0412, Codec(Attach, oneof("target", _TARGETS), _COMPLETION, _NAME)),
    (0x0413, Codec(GetOutput, oneof("target", _TARGETS), _COMPLETION, _NAME)),
    (
        0x0414,
        Codec(
            CompleteAwakeable,
            text("awakeable_id", 1),
            oneof("result", {2: VALUE, 3: FAILURE}),
            _NAME,
        ),
    ),
)
COMMANDS: Final[Mapping[type, tuple[int, Codec[Any]]]] = {
    codec.kind: (type_, codec) for type_, codec in _COMMANDS
}
"""The message type and the codec of each class of commands."""

DECODERS: Final[Mapping[int, Codec[Any]]] = dict(_COMMANDS)
"""The codec of each type of commands."""


@frozen
class _Template:
    """What all notifications look like: whose they are, and the result."""

    completion_id: int | None
    signal: int | str | None
    result: Result


_RESULT: Final = oneof(
    "result", {4: VOID_RESULT, 5: VALUE, 6: FAILURE, 16: INVOCATION_ID, 17: STATE_KEYS}
)
_SIGNAL: Final = either("signal", uint("signal", 2), text("signal", 3))
_NOTIFICATION: Final = Codec(_Template, optional_uint("completion_id", 1), _SIGNAL, _RESULT)
_COMPLETION_KEY: Final = 1 << 3
_VALUE_KEY: Final = 5 << 3 | 2
_CONTENT_KEY: Final = 1 << 3 | 2
_RUN_ID_KEY: Final = 11 << 3
_RUN_NAME_KEY: Final = 12 << 3 | 2
_SHORT_NAMES: Final = tuple(bytes((_RUN_NAME_KEY, size)) for size in range(128))
_SHORT_VALUES: Final = tuple(
    bytes((_VALUE_KEY, size + 2, _CONTENT_KEY, size)) for size in range(126)
)
"""What is before a name and before a value of this size."""
_READ_RESULT: Final[Mapping[int, Callable[[Any], Any]]] = _RESULT.reads
_READ_SIGNAL: Final[Mapping[int, Callable[[Any], Any]]] = _SIGNAL.reads


def command_type(command: Command) -> int:
    """The message type of a command."""
    return COMMANDS[type(command)][0]


def encode_command(command: Command) -> bytes:
    """A command's frame."""
    form: tuple[int, Codec[Any]] = COMMANDS[type(command)]
    type_, codec = form
    return encode_frame(type_, codec.encode(command))


def decode_command(type: int, payload: bytes) -> Command:  # noqa: A002  # its name
    """The command of a message. ``ProtocolError`` for one that this version does not know."""
    if type == RUN_TYPE and (run := short_run(payload)) is not None:
        return run

    codec = DECODERS.get(type)
    if codec is None:
        raise ProtocolError(
            f"the server sent a command of the unknown type 0x{type:04X}. Upgrade durable-trio to a "
            "version that knows it, or pause the invocation until that is served"
        )

    command: Command = codec.decode(payload)
    return command


def encode_notification(
    notification: Notification,
    type: int = RUN_COMPLETION_TYPE,  # noqa: A002  # its name
) -> bytes:
    """A notification's frame, of this type if it is a completion. Only servers send them."""
    if isinstance(notification, Signal):
        template = _Template(None, notification.signal, notification.result)
        return encode_frame(SIGNAL_TYPE, _NOTIFICATION.encode(template))

    template = _Template(notification.completion_id, None, notification.result)
    return encode_frame(type, _NOTIFICATION.encode(template))


def short_run(data: bytes) -> Run | None:
    """A run with a number of one or two bytes and a name of less than 128; None for any other."""
    size = len(data)
    if size < 5 or data[0] != _RUN_ID_KEY:
        return None

    number, position = data[1], 2
    if number > 127:
        high = data[2]
        if high > 127:
            return None

        number, position = number & 127 | high << 7, 3
    start = position + 2
    rest = size - start
    if rest > 127 or not data.startswith(_SHORT_NAMES[rest], position):
        return None

    return Run(number, utf8(data[start:]))


def short_completion(data: bytes) -> Completion | None:
    """A completion with a number of one or two bytes and a value of some that are less than 126."""
    size = len(data)
    if size < 7 or data[0] != _COMPLETION_KEY:
        return None

    number, position = data[1], 2
    if number > 127:
        high = data[2]
        if high > 127:
            return None

        number, position = number & 127 | high << 7, 3
    start = position + 4
    rest = size - start
    if not 0 <= rest < 126 or not data.startswith(_SHORT_VALUES[rest], position):
        return None

    return Completion(number, Value(data[start:]))


def decode_notification(payload: bytes) -> Notification:
    """The notification of a message. ``ProtocolError`` for one that names nothing."""
    return short_completion(payload) or any_notification(payload)


def any_notification(payload: bytes) -> Notification:
    """What ``decode_notification`` does, for every form that a message may have."""
    completion_id: int | None = None
    signal: int | str | None = None
    result: Result | None = None
    for tag, value in scan(payload):
        if tag == _COMPLETION_KEY:
            completion_id = value
        elif (read := _READ_RESULT.get(tag)) is not None:
            result = read(value)
        elif (read := _READ_SIGNAL.get(tag)) is not None:
            signal = read(value)
    if result is None:
        raise ProtocolError(
            f"a notification of {len(payload)} bytes has none of the results that there are. {REMEDY}",
            BAD_REQUEST,
        )

    if completion_id is not None:
        return Completion(completion_id, result)

    if signal is None:
        raise ProtocolError(
            "a notification names neither a completion nor a signal, but has a "
            f"{type(result).__name__}. {REMEDY}",
            BAD_REQUEST,
        )

    return Signal(signal, result)

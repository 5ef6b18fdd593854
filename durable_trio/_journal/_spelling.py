"""How entries are spelled as JSON objects: a tag per type and a kind per field.

Owns the tables and the two directions between an attrs value and its object. Lines,
bytes and positions are the business of ``_jsonl``.

 1. The spelling is data. A field that equals its default is left out, so an object
    shows what is special about its entry.
 2. Payload bytes that are valid UTF-8 are a JSON string under the field's name, others
    are Base64 under the name with ``_base64`` behind it. Results and targets are spelled
    flat, under the name of what they are: ``"value"``, ``"failure"``, ``"workflow"``.
 3. Reading takes an object apart and checks that nothing is left. It raises plain
    ``ValueError``: only the caller knows which line it was.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeGuard, TypeVar, cast

import attrs

from . import _entries as e

COMMAND_TAGS: Final[dict[type[e.Command], str]] = {
    e.Input: "input",
    e.Output: "output",
    e.Run: "run",
    e.Sleep: "sleep",
    e.Call: "call",
    e.OneWayCall: "one_way_call",
    e.GetState: "get_state",
    e.GetEagerState: "get_eager_state",
    e.GetStateKeys: "get_state_keys",
    e.GetEagerStateKeys: "get_eager_state_keys",
    e.SetState: "set_state",
    e.ClearState: "clear_state",
    e.ClearAllState: "clear_all_state",
    e.GetPromise: "get_promise",
    e.PeekPromise: "peek_promise",
    e.CompletePromise: "complete_promise",
    e.Attach: "attach",
    e.GetOutput: "get_output",
    e.SendSignal: "send_signal",
    e.CompleteAwakeable: "complete_awakeable",
}
NOTIFICATION_TAGS: Final[dict[type[e.Notification], str]] = {
    e.Completion: "completion",
    e.Signal: "signal",
}

Object: TypeAlias = dict[str, Any]
_Put: TypeAlias = Callable[[Object, str, Any], None]
_Take: TypeAlias = Callable[[Object, str], Any]

T = TypeVar("T")

ABSENT: Final = object()
_REQUIRED: Final = object()


class NewerVocabulary(ValueError):
    """Something this version does not know, where a newer one may have added something."""


# -- kinds: how the value of a field is put into an object and taken out of it


def _take_plain(expected: str, *types: type) -> _Take:
    def take(raw: Object, name: str) -> Any:
        value = raw.pop(name, ABSENT)
        if type(value) in types or value is ABSENT:
            return value
        raise ValueError(f"{name!r} must be {expected}, found {value!r}")

    return take


def _put_payload(out: Object, name: str, value: bytes) -> None:
    try:
        out[name] = value.decode()
    except UnicodeDecodeError:
        out[name + "_base64"] = b64encode(value).decode()


def _take_payload(raw: Object, name: str) -> Any:
    value = raw.pop(name, ABSENT)
    if type(value) is str:
        return value.encode()
    if value is not ABSENT:
        raise ValueError(f"{name!r} must be a string, found {value!r}")
    coded = raw.pop(name + "_base64", ABSENT)
    if coded is ABSENT:
        return ABSENT
    try:
        return b64decode(coded, validate=True)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{name + '_base64'!r} must be Base64 text, found {coded!r}") from exc


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list


def is_object(value: Any) -> TypeGuard[Object]:
    return type(value) is dict


def _take_texts(raw: Object, name: str) -> Any:
    value = raw.pop(name, ABSENT)
    if value is ABSENT:
        return value
    if _is_list(value) and all(type(text) is str for text in value):
        return tuple(value)
    raise ValueError(f"{name!r} must be a list of strings, found {value!r}")


def _take_headers(raw: Object, name: str) -> Any:
    value = raw.pop(name, ABSENT)
    if value is ABSENT:
        return value
    if _is_list(value) and all(
        _is_list(pair) and [type(part) for part in pair] == [str, str] for pair in value
    ):
        return tuple((pair[0], pair[1]) for pair in value)
    raise ValueError(f"{name!r} must be a list of name and value pairs, found {value!r}")


@attrs.frozen
class _Kind:
    put: _Put | None
    """None: the value itself is the JSON value."""
    take: _Take


@attrs.frozen
class _Field:
    name: str
    default: object
    put: _Put | None
    take: _Take


@attrs.frozen
class Shape(Generic[T]):
    """The JSON object that stands for one attrs class."""

    cls: Callable[..., T]
    start: Object
    fields: tuple[_Field, ...]

    def dump(self, value: T) -> Object:
        out = self.start.copy()
        for field in self.fields:
            item = getattr(value, field.name)
            default = field.default
            # Most texts are the default itself, and results are slow to compare.
            if default is _REQUIRED or (item is not default and item != default):
                if field.put is None:
                    out[field.name] = item
                else:
                    field.put(out, field.name, item)
        return out

    def load(self, raw: Object) -> T:
        values: list[Any] = []
        missing = ""
        for field in self.fields:
            item = field.take(raw, field.name)
            if item is ABSENT:
                item = field.default
                if item is _REQUIRED:
                    missing = missing or field.name
            values.append(item)
        if raw:
            raise NewerVocabulary(f"unknown field {next(iter(raw))!r}")
        if missing:
            raise ValueError(f"{missing!r} is missing")
        return self.cls(*values)


def shape_of(cls: type[T], start: Object | None = None) -> Shape[T]:
    fields: list[_Field] = []
    for field in attrs.fields(cast("Any", cls)):
        kind = KINDS[str(field.type)]
        default = _REQUIRED if field.default is attrs.NOTHING else field.default
        fields.append(_Field(field.name, default, kind.put, kind.take))
    return Shape(cls, start or {}, tuple(fields))


_take_text: Final = _take_plain("a string", str)
_TEXT: Final = _Kind(None, _take_text)
_INTEGER: Final = _Kind(None, _take_plain("an integer", int))
_PAYLOAD: Final = _Kind(_put_payload, _take_payload)
KINDS: Final[dict[str, _Kind]] = {
    "int": _INTEGER,
    "int | None": _INTEGER,
    "str": _TEXT,
    "str | None": _TEXT,
    "int | str": _Kind(None, _take_plain("an integer or a string", int, str)),
    "bytes": _PAYLOAD,
    "bytes | None": _PAYLOAD,
    "tuple[str, ...]": _Kind(None, _take_texts),
    "Headers": _Kind(None, _take_headers),
}
"""By the annotation of a field. A new annotation without a kind fails at import."""

# -- alternatives: fields that hold one of several types, spelled under the name of the type

_FAILURE: Final = shape_of(e.Failure)
_IDEMPOTENT: Final = shape_of(e.IdempotentTarget)
_WORKFLOW: Final = shape_of(e.WorkflowTarget)


def _take_shape(shape: Shape[Any]) -> _Take:
    def take(raw: Object, name: str) -> Any:
        value = raw.pop(name, ABSENT)
        if value is ABSENT:
            return value
        if not is_object(value):
            raise ValueError(f"{name!r} must be an object, found {value!r}")
        return shape.load(value)

    return take


def _take_wrapped(cls: Callable[[Any], object], take: _Take) -> _Take:
    def take_wrapped(raw: Object, name: str) -> Any:
        value = take(raw, name)
        return value if value is ABSENT else cls(value)

    return take_wrapped


def _take_void(raw: Object, name: str) -> Any:
    value = raw.pop(name, ABSENT)
    if value is True:
        return e.VOID
    if value is ABSENT:
        return value
    raise ValueError(f"{name!r} must be true, found {value!r}")


@attrs.frozen
class _Spelling:
    name: str
    put: Callable[[Object, Any], None]
    take: _Take


def _put_void(out: Object, _value: e.Void) -> None:
    out["void"] = True


def _put_value(out: Object, value: e.Value) -> None:
    _put_payload(out, "value", value.content)


def _put_failure(out: Object, failure: e.Failure) -> None:
    out["failure"] = _FAILURE.dump(failure)


def _put_invocation_id(out: Object, result: e.InvocationId) -> None:
    out["invocation_id"] = result.id


def _put_state_keys(out: Object, result: e.StateKeys) -> None:
    out["state_keys"] = result.keys


def _put_invocation_target(out: Object, target: e.InvocationTarget) -> None:
    out["invocation_id"] = target.invocation_id


def _put_idempotent_target(out: Object, target: e.IdempotentTarget) -> None:
    out["idempotent"] = _IDEMPOTENT.dump(target)


def _put_workflow_target(out: Object, target: e.WorkflowTarget) -> None:
    out["workflow"] = _WORKFLOW.dump(target)


_SPELLINGS: Final[dict[type, _Spelling]] = {
    e.Void: _Spelling("void", _put_void, _take_void),
    e.Value: _Spelling("value", _put_value, _take_wrapped(e.Value, _take_payload)),
    e.Failure: _Spelling("failure", _put_failure, _take_shape(_FAILURE)),
    e.InvocationId: _Spelling(
        "invocation_id", _put_invocation_id, _take_wrapped(e.InvocationId, _take_text)
    ),
    e.StateKeys: _Spelling("state_keys", _put_state_keys, _take_wrapped(e.StateKeys, _take_texts)),
    e.InvocationTarget: _Spelling(
        "invocation_id", _put_invocation_target, _take_wrapped(e.InvocationTarget, _take_text)
    ),
    e.IdempotentTarget: _Spelling("idempotent", _put_idempotent_target, _take_shape(_IDEMPOTENT)),
    e.WorkflowTarget: _Spelling("workflow", _put_workflow_target, _take_shape(_WORKFLOW)),
}
_PUTS: Final = {cls: spelling.put for cls, spelling in _SPELLINGS.items()}


def put_one(out: Object, _name: str, value: object) -> None:
    _PUTS[type(value)](out, value)


def _one_of(*classes: type) -> _Kind:
    ways = tuple((_SPELLINGS[cls].take, _SPELLINGS[cls].name) for cls in classes)

    def take(raw: Object, _name: str) -> Any:
        for take_way, name in ways:
            value = take_way(raw, name)
            if value is not ABSENT:
                return value
        return ABSENT

    return _Kind(put_one, take)


KINDS.update(
    {
        "Result": _one_of(e.Value, e.Void, e.Failure, e.InvocationId, e.StateKeys),
        "Void | Value | Failure": _one_of(e.Value, e.Void, e.Failure),
        "Value | Failure": _one_of(e.Value, e.Failure),
        "Void | Value": _one_of(e.Value, e.Void),
        "Target": _one_of(e.InvocationTarget, e.IdempotentTarget, e.WorkflowTarget),
    }
)

SHAPES: Final[dict[type, Shape[Any]]] = {
    **{cls: shape_of(cls, {"command": tag}) for cls, tag in COMMAND_TAGS.items()},
    **{cls: shape_of(cls, {"notification": tag}) for cls, tag in NOTIFICATION_TAGS.items()},
}
BY_TAG: Final[dict[str, dict[str, Shape[Any]]]] = {
    "command": {tag: SHAPES[cls] for cls, tag in COMMAND_TAGS.items()},
    "notification": {tag: SHAPES[cls] for cls, tag in NOTIFICATION_TAGS.items()},
}

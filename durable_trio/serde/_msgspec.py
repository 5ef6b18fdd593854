"""msgspec Structs, wherever they are nested.

Owns the way through msgspec's own conversion; what a Struct accepts is msgspec's business, and
what it contains must be known to msgspec.

 1. Sets are sorted, as everywhere, and so are the dicts inside of a Struct.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, get_origin

import msgspec

from ._annotations import describe, origin_class, peel
from ._codecs import Codec, Members, Outline
from ._enums import literal_values
from ._paths import Mismatch, Missing, Rejected
from ._plain import encode_plain

if TYPE_CHECKING:
    from ._codecs import Compiler, JsonSchema
    from ._paths import Step
    from ._schema import Schemas

_PLACE: Final = re.compile(r"(?P<verdict>.*) - at (?:`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_MISSING: Final = re.compile(r"Object missing required field `(?P<key>.*)`")


def claims(annotation: Any) -> bool:
    origin = origin_class(annotation)
    return origin is not None and issubclass(origin, msgspec.Struct)


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    origin = origin_class(annotation)
    if origin.__struct_config__.array_like:
        kinds = frozenset[type]({list})
        return Outline(describe(annotation), (origin,), writes=kinds, open=kinds)

    return Outline(
        name=describe(annotation),
        classes=(origin,),
        writes=frozenset({dict}),
        members=lambda: _members(annotation),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    origin, name = origin_class(annotation), describe(annotation)
    try:
        msgspec.json.Decoder(annotation)
    except Exception as exc:
        raise compiler.refuse(f"msgspec cannot use {name}: {exc}") from exc

    def encode(value: Any) -> Any:
        if value.__class__ is not origin:
            raise Mismatch(name, value, remedy=f"annotate {type(value).__name__}")

        try:
            plain = msgspec.to_builtins(value, str_keys=True, order="deterministic")
        except (TypeError, ValueError) as exc:
            raise Rejected(f"{name} is refused by msgspec ({exc})", value) from exc

        return encode_plain(plain)

    def decode(data: Any, _: object = None) -> Any:
        try:
            return msgspec.convert(data, annotation, str_keys=True)
        except msgspec.ValidationError as exc:
            raise _rejection(str(exc)) from exc

    return Codec(annotation, outline(annotation, compiler), encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return schemas.adopt(msgspec.json.schema(annotation), origin_class(annotation).__name__)


def _members(annotation: Any) -> Members:
    config = origin_class(annotation).__struct_config__
    fields = {field.encode_name: field for field in msgspec.structs.fields(annotation)}
    required = {key for key, field in fields.items() if field.required}
    tags = {
        key: literal_values(peel(field.type))
        for key, field in fields.items()
        if get_origin(peel(field.type)) is Literal
    }
    if config.tag is not None:
        tags[config.tag_field] = (config.tag,)
        required.add(config.tag_field)
    return Members(frozenset(fields) | tags.keys(), frozenset(required), tags)


def _rejection(message: str) -> Mismatch:
    match = _PLACE.fullmatch(message)
    verdict, path = (message, "") if match is None else match.group("verdict", "path")
    trail = tuple(map(_step, _STEP.finditer(path)))
    missing = _MISSING.fullmatch(verdict)
    return Rejected(verdict, trail=trail) if missing is None else Missing((*trail, missing["key"]))


def _step(match: re.Match[str]) -> Step:
    key, index = match.group("key", "index")
    return key or (int(index) if index.isdigit() else index)

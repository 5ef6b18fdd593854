"""``Annotated[T, serde]``: a type with a serde of its own, inside of a JSON document.

Owns how the bytes of that serde are put into the document: as they are if they are JSON, else
as base64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ._annotations import describe, origin_class, serde_in, serde_of
from ._codecs import KINDS, Codec, Outline
from ._paths import Mismatch
from ._texts import decode_bytes, encode_bytes

if TYPE_CHECKING:
    from durable_trio.abc import Serde

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return serde_in(annotation) is not None


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    kinds = KINDS if _is_json(serde_of(annotation)) else frozenset[type]({str})
    class_ = origin_class(annotation.__origin__)
    return Outline(
        name=describe(annotation),
        classes=(object if class_ is None else class_,),
        writes=kinds,
        open=kinds,
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    serde, custom_outline = serde_of(annotation), outline(annotation, compiler)
    is_json = _is_json(serde)

    def encode(value: Any) -> Any:
        content = serde.serialize(value)
        return msgspec.json.decode(content) if is_json else encode_bytes(content)

    def decode(data: Any, _: object = None) -> Any:
        if is_json:
            return serde.deserialize(msgspec.json.encode(data))

        if data.__class__ is not str:
            raise Mismatch(f"{custom_outline.name} as base64", data)

        try:
            content = decode_bytes(data)
        except ValueError:
            raise Mismatch(f"{custom_outline.name} as base64", data) from None

        return serde.deserialize(content)

    return Codec(annotation, custom_outline, encode, decode)


def schema(annotation: Any, _schemas: Schemas) -> JsonSchema:
    serde = serde_of(annotation)
    if _is_json(serde):
        return {}

    return {
        "type": "string",
        "contentEncoding": "base64",
        "contentMediaType": serde.content_type,
    }


def _is_json(serde: Serde[Any]) -> bool:
    media_type = serde.content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")

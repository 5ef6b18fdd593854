"""Type aliases made by the ``type`` statement, which may be recursive.

Owns nothing but the step to what the alias stands for: the compiler closes the circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._annotations import alias_value, is_alias

if TYPE_CHECKING:
    from ._codecs import Codec, Compiler, JsonSchema, Outline
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_alias(annotation)


def outline(annotation: Any, compiler: Compiler) -> Outline:
    return compiler.outline(alias_value(annotation))


def codec(annotation: Any, compiler: Compiler) -> Codec:
    return attrs.evolve(compiler.codec(alias_value(annotation)), annotation=annotation)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return schemas.define(annotation, lambda: schemas.of(alias_value(annotation)))

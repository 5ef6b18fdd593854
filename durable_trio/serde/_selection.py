"""Which serde an annotation gets.

Owns ``serde_for``, what handlers, runs and state use for an annotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._annotations import is_serde, peel, serde_in
from ._bytes import bytes_serde
from ._json import json_serde

if TYPE_CHECKING:
    from durable_trio.abc import Serde

T = TypeVar("T")


@overload
def serde_for(annotation: type[T], /) -> Serde[T]: ...
@overload
def serde_for(annotation: Serde[T], /) -> Serde[T]: ...
@overload
def serde_for(annotation: None, /) -> Serde[None]: ...
@overload
def serde_for(annotation: Any, /) -> Serde[Any]: ...
def serde_for(annotation: Any, /) -> Serde[Any]:
    """The serde for an annotation.

    A serde itself, or the one in ``Annotated[T, serde]``; ``bytes_serde`` for ``bytes``; else
    ``json_serde``. A missing annotation (``inspect.Parameter.empty``) is ``Any``.
    ``DefinitionError`` for a type that cannot be written.
    """
    if is_serde(annotation):
        return annotation  # type: ignore[no-any-return]

    inner = peel(annotation)
    own = serde_in(inner)
    if own is not None:
        return own

    return bytes_serde if inner is bytes else json_serde(annotation)

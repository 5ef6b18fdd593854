"""Annotations: evaluated, stripped of what does not change the values, and named.

Owns everything about types as objects of the ``typing`` module. It does not know how any
type is written.

 1. ``peel`` leaves a class, a generic alias, a union, a Literal, a type alias or ``Any``;
    nothing else reaches the codecs.
 2. Names in string annotations are looked for in the module of the class, and, for classes
    that were defined in a function, in that function's variables while it still runs.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections import ChainMap
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin

from durable_trio._exceptions import DefinitionError
from durable_trio.abc import Serde

_QUALIFIERS = frozenset({"ClassVar", "Final", "NotRequired", "ReadOnly", "Required"})
_SELF = frozenset({"Self"})


@functools.cache
def hints(owner: Any) -> dict[str, Any]:
    """The evaluated annotations of a class, inherited ones included. Not to be changed.

    ``DefinitionError`` for a name that cannot be found.
    """
    # Kept, because the function in which a local class was found has returned the next time.
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except NameError:
        scope = _enclosing_scope(owner)
    except Exception as exc:
        raise DefinitionError(
            f"an annotation of {describe(owner)} cannot be evaluated: {exc}"
        ) from exc

    try:
        return typing.get_type_hints(owner, localns=scope, include_extras=True)
    except Exception as exc:
        raise DefinitionError(
            f"an annotation of {describe(owner)} cannot be evaluated: {exc}. Define the type at "
            "module level, and import it outside of 'if TYPE_CHECKING': values are encoded by "
            "their types when the program runs"
        ) from exc


def _enclosing_scope(owner: Any) -> Any:
    scopes: list[Any] = []
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if (
            frame.f_globals.get("__name__") == owner.__module__
            and frame.f_locals is not frame.f_globals
        ):
            scopes.append(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    return ChainMap({owner.__name__: owner}, *scopes)


def peel(annotation: Any) -> Any:
    """What is left without ``Annotated``, ``NewType``, ``Final``, ``NotRequired`` and so on.

    An ``Annotated`` that carries a ``Serde`` is left as it is. ``DefinitionError`` for a
    string, whose names cannot be looked up here.
    """
    while True:
        inner = _peel_once(annotation)
        if inner is annotation:
            return annotation

        annotation = inner


def _peel_once(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if annotation is None:
        return types.NoneType

    if annotation is object or annotation is inspect.Parameter.empty:
        return Any

    if isinstance(annotation, str | ForwardRef):
        raise DefinitionError(
            f"the annotation {describe(annotation)!r} is a string whose names cannot be looked up "
            "here; give the type itself"
        )

    if isinstance(annotation, TypeVar):
        return _stand_in(annotation)

    if hasattr(annotation, "__supertype__"):
        return annotation.__supertype__

    if origin is Annotated:
        return annotation if serde_in(annotation) is not None else annotation.__origin__

    name = getattr(annotation if origin is None else origin, "_name", None)
    if name in _QUALIFIERS:
        return get_args(annotation)[0] if get_args(annotation) else Any

    return str if name == "LiteralString" else annotation


def _stand_in(variable: Any) -> Any:
    if getattr(variable, "has_default", bool)():
        return variable.__default__

    if variable.__bound__ is not None:
        return variable.__bound__

    return Union[variable.__constraints__] if variable.__constraints__ else Any  # noqa: UP007


def serde_in(annotation: Any) -> Serde[Any] | None:
    """The serde that an ``Annotated`` carries, if any."""
    return next(filter(is_serde, getattr(annotation, "__metadata__", ())), None)


def serde_of(annotation: Any) -> Serde[Any]:
    """The serde that an ``Annotated`` is known to carry."""
    return next(filter(is_serde, annotation.__metadata__))


def is_serde(value: object) -> bool:
    """Whether it is a serde: an instance, never a class."""
    return not isinstance(value, type) and isinstance(value, Serde)


def is_alias(annotation: Any) -> bool:
    """Whether it was made by a ``type`` statement, bare or with arguments."""
    origin = get_origin(annotation) or annotation
    return type(origin).__name__ == "TypeAliasType"


def alias_value(annotation: Any) -> Any:
    """What such an alias stands for."""
    origin = get_origin(annotation)
    alias = annotation if origin is None else origin
    # A quoted part may name the alias itself, where there is no type statement yet.
    quoted = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    scope = vars(sys.modules[alias.__module__])
    try:
        evaluated = typing.get_type_hints(
            quoted, scope, {alias.__name__: alias}, include_extras=True
        )
    except RecursionError:
        # The compiler tells of types that never end.
        raise
    except Exception as exc:
        raise DefinitionError(
            f"the type alias {describe(alias)} cannot be evaluated: {exc}"
        ) from exc

    arguments = dict(zip(alias.__type_params__, get_args(annotation), strict=False))
    return replace(evaluated["value"], arguments)


def is_union(annotation: Any) -> bool:
    """Whether it is ``A | B``, ``Union`` or ``Optional``."""
    return get_origin(annotation) in {Union, types.UnionType}


def is_class(annotation: Any) -> bool:
    """Whether it is a class itself, and not a generic alias of one."""
    return isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)


def origin_class(annotation: Any) -> Any:
    """The class behind a class or a generic alias, None if there is none."""
    origin = get_origin(annotation) or annotation
    return origin if is_class(origin) else None


def replace(annotation: Any, bound: dict[Any, Any]) -> Any:
    """The annotation with its type variables, and ``Self``, replaced by what they stand for."""
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)

    if getattr(annotation, "_name", None) in _SELF and get_origin(annotation) is None:
        return bound.get("Self", annotation)

    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = replace(annotation.__origin__, bound)
        return Annotated[(inner, *annotation.__metadata__)]

    replaced = tuple(replace(arg, bound) for arg in args)
    if origin in {None, Literal} or replaced == args:
        return annotation

    if is_union(annotation):
        return Union[replaced]  # noqa: UP007

    return origin[replaced]


def bindings(annotation: Any) -> dict[type, dict[Any, Any]]:
    """For a class or a generic alias: what the type variables of it and of its bases stand for."""
    origin = get_origin(annotation) or annotation
    parameters = getattr(origin, "__parameters__", ())
    bound = dict(zip(parameters, get_args(annotation), strict=False))
    found: dict[type, dict[Any, Any]] = {origin: bound}
    for base in _bases(origin):
        base_class = get_origin(base) or base
        if is_class(base_class) and base_class not in {object, typing.Generic, typing.Protocol}:
            found |= bindings(replace(base, bound))
    return found


def _bases(origin: type) -> tuple[Any, ...]:
    generic: tuple[Any, ...] | None = vars(origin).get("__orig_bases__")
    return origin.__bases__ if generic is None else generic


def describe(annotation: Any) -> str:
    """The annotation as an error message names it: ``list[Report | None]``."""
    if annotation is types.NoneType or annotation is None:
        return "None"

    if annotation is Ellipsis:
        return "..."

    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__

    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"

    if origin is Annotated:
        return describe(annotation.__origin__)

    if is_union(annotation):
        # Sorted, because typing takes unions for equal whatever the order.
        names = sorted(map(describe, args), key=lambda name: (name == "None", name))
        return " | ".join(names)

    if origin is not None:
        listed = ", ".join(
            f"[{', '.join(map(describe, arg))}]" if isinstance(arg, list) else describe(arg)  # pyright: ignore[reportUnknownArgumentType]
            for arg in args
        )
        return f"{describe(origin)}[{listed}]" if args else describe(origin)

    name = getattr(annotation, "__qualname__", None) or getattr(annotation, "__name__", None)
    return str(name).rpartition("<locals>.")[2] if name else str(annotation).removeprefix("typing.")

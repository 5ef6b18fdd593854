"""The fields of classes: what they are called in JSON, and what their types are.

Owns ``ClassField`` and how attrs, dataclasses and TypedDict declare theirs. The codecs, the
schema and the telling apart in unions all read fields from here.

 1. The key of a field is the name of the constructor's argument: attrs' ``alias``.
 2. A field that the constructor does not take (``init=False``) is written, and set after
    construction if it is there; it is never required.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs

from ._annotations import bindings, describe, hints, origin_class, peel, replace
from ._codecs import Members
from ._enums import literal_values

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class ClassField:
    """One field of a class."""

    name: str
    key: str
    type: Any
    required: bool
    defaults: tuple[Any, ...] = ()
    """Its default, if it has one that is not made by a factory."""
    init: bool = True
    kw_only: bool = False


def is_attrs_class(annotation: Any) -> bool:
    """Whether it is an attrs class, or a generic alias of one."""
    origin = origin_class(annotation)
    return origin is not None and attrs.has(origin)


def is_dataclass(annotation: Any) -> bool:
    """Whether it is a dataclass, or a generic alias of one."""
    origin = origin_class(annotation)
    return origin is not None and dataclasses.is_dataclass(origin)


def is_typed_dict(annotation: Any) -> bool:
    """Whether it is a TypedDict, or a generic alias of one."""
    origin = origin_class(annotation)
    return hasattr(origin, "__required_keys__") and issubclass(origin, dict)


def class_fields(annotation: Any) -> list[ClassField]:
    """The fields of an attrs class, a dataclass or a TypedDict, with evaluated types."""
    origin = origin_class(annotation)
    annotated = _field_types(annotation)
    if is_typed_dict(annotation):
        return [
            ClassField(name, name, type_, _is_required(origin, name, type_))
            for name, type_ in annotated.items()
        ]

    if is_attrs_class(annotation):
        return [_attrs_field(field, annotated) for field in attrs.fields(origin)]

    return [_dataclass_field(field, annotated) for field in dataclasses.fields(origin)]


def members_of(fields: Sequence[ClassField]) -> Members:
    """What tells a class with these fields from another."""
    return Members(
        known=frozenset(field.key for field in fields),
        required=frozenset(field.key for field in fields if field.required),
        tags={
            field.key: literal_values(peel(field.type))
            for field in fields
            if get_origin(peel(field.type)) is Literal
        },
    )


def _field_types(annotation: Any) -> dict[str, Any]:
    origin = origin_class(annotation)
    bound = bindings(annotation)
    if is_typed_dict(annotation):
        # It declares the keys of its bases as its own.
        merged = {variable: type_ for each in bound.values() for variable, type_ in each.items()}
        bound = {origin: merged}
    return {
        name: replace(type_, bound.get(_owner(origin, name), {}) | {"Self": annotation})
        for name, type_ in hints(origin).items()
    }


def _owner(origin: type, name: str) -> type:
    # Each class has its own type variables.
    return next((base for base in origin.__mro__ if name in inspect.get_annotations(base)), origin)


def _attrs_field(field: attrs.Attribute[Any], annotated: dict[str, Any]) -> ClassField:
    has_default = field.default is not attrs.NOTHING
    has_factory = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    return ClassField(
        name=field.name,
        key=field.alias if field.init and field.alias else field.name,
        type=annotated.get(field.name, Any if field.type is None else field.type),
        required=field.init and not has_default,
        defaults=(field.default,) if has_default and not has_factory else (),
        init=field.init,
        kw_only=field.kw_only,
    )


def _dataclass_field(field: dataclasses.Field[Any], annotated: dict[str, Any]) -> ClassField:
    has_default = (
        field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    )
    return ClassField(
        name=field.name,
        key=field.name,
        type=annotated[field.name],
        required=field.init and not has_default,
        defaults=() if field.default is dataclasses.MISSING else (field.default,),
        init=field.init,
        kw_only=field.kw_only is True,
    )


def _is_required(origin: Any, name: str, type_: Any) -> bool:
    # With postponed evaluation, __required_keys__ does not know of NotRequired and Required.
    qualifiers: set[str] = set()
    while True:
        qualifier = getattr(get_origin(type_), "_name", None)
        if qualifier not in {"NotRequired", "ReadOnly", "Required"}:
            break

        qualifiers.add(qualifier)
        (type_,) = get_args(type_)
    if qualifiers & {"NotRequired", "Required"}:
        return "Required" in qualifiers

    return name in origin.__required_keys__


def class_doc(annotation: Any) -> str | None:
    """The docstring of a class, None if it has none or only one that was generated."""
    origin: type = origin_class(annotation)
    doc: object = vars(origin).get("__doc__")
    generated = dataclasses.is_dataclass(origin) and str(doc).startswith(f"{origin.__name__}(")
    return None if not doc or generated else inspect.cleandoc(str(doc))


def check_reconstructable(annotation: Any) -> str | None:
    """Why an instance cannot be made from its fields, None if it can."""
    origin = origin_class(annotation)
    if not dataclasses.is_dataclass(origin):
        return None

    for name, field in vars(origin)["__dataclass_fields__"].items():
        is_init_var = isinstance(field.type, dataclasses.InitVar) or str(field.type).startswith(
            ("InitVar", "dataclasses.InitVar")
        )
        if is_init_var and field.default is dataclasses.MISSING:
            return (
                f"{describe(origin)} needs its InitVar {name!r} to be made, but keeps no value of it "
                "to be written; give it a default or make it a field"
            )

    return None

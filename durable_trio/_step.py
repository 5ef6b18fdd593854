"""What a function passed to ``ctx.run`` says about itself.

Owns its name, whether it is async, and the serde of its result. Inspected once per code
object: handlers pass the same functions, lambdas and closures over and over.
"""

from __future__ import annotations

import functools
import inspect
import typing
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ._exceptions import DefinitionError
from .serde import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from .abc import Serde


@attrs.frozen
class Step:
    """One inspected function."""

    name: str
    is_async: bool
    serde: Serde[Any]
    code: CodeType | None
    """Kept alive, so that its ``id`` stays its own."""


_known: Final[dict[int, Step]] = {}


def step_of(function: Callable[..., Any]) -> Step:
    """What there is to know about ``function``; cheap after the first time."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None:
        step = _known.get(id(code))
        if step is None:
            step = _known[id(code)] = _inspect(function, code)
        return step

    return _inspect(function, None)


def _inspect(function: Callable[..., Any], code: CodeType | None) -> Step:
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = cast("Any", inner).func
    name: str = getattr(inner, "__name__", type(inner).__name__)
    if not isinstance(inner, type) and not inspect.isroutine(inner):
        # An object that is called: what it says about itself is on its class.
        inner = type(inner).__call__
    return Step(
        name=name.strip("<>"),
        is_async=inspect.iscoroutinefunction(inner),
        serde=_serde_of(inner),
        code=code,
    )


def _serde_of(function: Any) -> Serde[Any]:
    try:
        annotation = typing.get_type_hints(function, include_extras=True).get("return", Any)
        return serde_for(annotation)
    except (NameError, TypeError, DefinitionError):
        # An annotation that cannot be evaluated here, a class, a builtin: plain JSON.
        return serde_for(Any)

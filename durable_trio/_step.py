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

from ._exceptions import DefinitionError, UsageError
from ._journal._entries import Value
from .serde import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._journal._entries import Result
    from .abc import Serde


class ContentDecoder:
    """Decodes a result's content with a serde."""

    __slots__ = ("serde",)

    def __init__(self, serde: Serde[Any]) -> None:
        self.serde = serde

    def __call__(self, result: Result) -> Any:
        return self.serde.deserialize(content_of(result))


def content_of(result: Result) -> bytes:
    """The bytes of a result; none if it has no value."""
    return result.content if isinstance(result, Value) else b""


@attrs.frozen
class Step:
    """One inspected function."""

    name: str
    """What a run of it is called."""
    function_name: str
    is_async: bool
    decode: ContentDecoder
    """Decodes what it has returned."""
    returns: object
    """Its annotation, which a closure may evaluate anew each time it is made."""
    kept: tuple[object, object] | None
    """Kept alive, so that their ``id`` stays their own."""

    @property
    def serde(self) -> Serde[Any]:
        """What its result is encoded and decoded with."""
        return self.decode.serde


# By the code of a function and that of what it wraps: all that one decorator makes of
# functions shares the code of its wrapper.
_known: Final[dict[tuple[int, int], Step]] = {}


def step_of(function: Callable[..., Any]) -> Step:
    """What there is to know about ``function``; cheap after the first time."""
    code = getattr(function, "__code__", None)
    if code is None:
        return _inspect(function, None)

    inner = code
    if hasattr(function, "__wrapped__"):
        wrapped = inspect.unwrap(function)
        inner = getattr(wrapped, "__code__", wrapped)
    key = id(code), id(inner)
    step = _known.get(key)
    if (
        step is None
        or step.function_name != function.__name__
        or step.returns != function.__annotations__.get("return")
    ):
        step = _known[key] = _inspect(function, (code, inner))
    return step


def _inspect(function: Callable[..., Any], kept: tuple[object, object] | None) -> Step:
    _check_callable(function)
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = cast("Any", inner).func
    name: str = getattr(inner, "__name__", type(inner).__name__)
    if not isinstance(inner, type) and not inspect.isroutine(inner):
        # An object that is called: what it says about itself is on its class.
        inner = type(inner).__call__
    return Step(
        name=name.strip("<>"),
        function_name=name,
        is_async=inspect.iscoroutinefunction(inner),
        decode=ContentDecoder(_serde_of(inner)),
        returns=getattr(function, "__annotations__", {}).get("return"),
        kept=kept,
    )


def _check_callable(function: object) -> None:
    if callable(function):
        return

    given = type(function).__name__
    if isinstance(function, str):
        remedy = "the name of a step is name=: `ctx.run(fn, x, name=...)`"
    elif inspect.iscoroutine(function):
        function.close()
        remedy = "write `ctx.run(fn, x)` instead of `ctx.run(fn(x))`"
    else:
        remedy = "write `ctx.run(fn, x)`"
    raise UsageError(f"ctx.run takes a function and its arguments, got {given}: {remedy}.")


def _serde_of(function: Any) -> Serde[Any]:
    try:
        annotation = typing.get_type_hints(function, include_extras=True).get("return", Any)
        return serde_for(annotation)
    except (NameError, TypeError, DefinitionError):
        # An annotation that cannot be evaluated here, a class, a builtin: plain JSON.
        return serde_for(Any)

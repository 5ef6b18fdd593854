"""What a handler's function says about itself: its input, its default, its annotations.

Owns the inspection of functions and its errors. What the annotations are turned into is
the business of ``durable_trio.serde``.

 1. The function is inspected once, where it is decorated; never per invocation.
 2. Annotations are evaluated when first asked for, so that they may name what is defined
    further down. Only those of nested functions are tried at once: they may name local
    classes, which are out of reach later.
"""

from __future__ import annotations

import enum
import inspect
import typing
from types import FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ._exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoDefault(enum.Enum):
    """The type of ``NO_DEFAULT``."""

    NO_DEFAULT = "no default"


NO_DEFAULT: Final = NoDefault.NO_DEFAULT
"""Stands for a default that was not given, where None could be one."""

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_SHAPE: Final = "a handler takes its context and at most one input: async def name(ctx, input)"


@attrs.define(eq=False)
class HandlerSignature:
    """One handler function, inspected."""

    input_name: str | None
    """The name of the parameter that takes the input, None if there is none."""
    input_default: object
    """What that parameter is when the input is missing, or ``NO_DEFAULT``."""
    origin: str
    """The function's name and where it is, for messages."""
    # Any: type checkers take a function in an attribute for a method.
    _function: Any = attrs.field(alias="function")
    _owner: str = attrs.field(alias="owner")
    _evaluated: dict[str, Any] = attrs.field(factory=dict[str, Any], init=False)

    @property
    def input_type(self) -> Any:
        """The annotation of the input, evaluated. ``Any`` without annotation, None without input.

        ``DefinitionError`` if it names something that cannot be found.
        """
        return None if self.input_name is None else self._annotation(self.input_name, {})

    @property
    def output_type(self) -> Any:
        """The annotation of the returned value, evaluated. ``Any`` without annotation.

        ``DefinitionError`` if it names something that cannot be found.
        """
        return self._annotation("return", {})

    def evaluate_early(self, scope: Mapping[str, Any]) -> None:
        """Evaluate what can be evaluated now, where the local names of ``scope`` are in reach."""
        for name in filter(None, (self.input_name, "return")):
            try:
                self._annotation(name, scope)
            except DefinitionError as error:
                if not isinstance(error.__cause__, NameError):
                    raise

    def _annotation(self, name: str, scope: Mapping[str, Any]) -> Any:
        if name not in self._evaluated:
            self._evaluated[name] = self._evaluate(name, scope)
        return self._evaluated[name]

    def _evaluate(self, name: str, scope: Mapping[str, Any]) -> Any:
        function = self._function
        if name not in function.__annotations__:
            return Any

        # The context's annotation is left alone: it may well be imported for type checkers only.
        only = SimpleNamespace(__annotations__={name: function.__annotations__[name]})
        try:
            hints = typing.get_type_hints(
                only, function.__globals__, dict(scope), include_extras=True
            )
        except Exception as exc:
            what = "returned value" if name == "return" else f"input {name!r}"
            raise DefinitionError(
                f"{self.origin}, a handler of {self._owner}: the annotation {function.__annotations__[name]!r} of its {what} "
                f"cannot be evaluated ({exc}). Its values are encoded by that type when the "
                "handler runs: import it outside of 'if TYPE_CHECKING', and define it at module "
                "level or before the handler."
            ) from exc

        return hints[name]


def inspect_handler(function: object, owner: str, scope: Mapping[str, Any]) -> HandlerSignature:
    """Inspect a function that is to be a handler of ``owner``, where it is decorated.

    ``scope`` has the local names at that place. ``DefinitionError`` if it cannot be a handler.
    """
    if not isinstance(function, FunctionType | MethodType):
        raise DefinitionError(
            f"a handler of {owner} must be an 'async def' function or method, got {function!r}"
        )

    origin = _origin(function)
    label = f"{origin}, a handler of {owner}"
    _check_async(function, label)
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind not in _POSITIONAL:
            raise DefinitionError(
                f"{label}: {_shown(parameter)} cannot be given by a caller; {_SHAPE}. "
                "A decorator between it and the service must keep its signature "
                "(functools.wraps); several values go into one attrs class or dataclass."
            )

    parameters = list(signature.parameters.values())
    if len(parameters) not in (1, 2):
        raise DefinitionError(
            f"{label}: it takes {len(parameters)} parameters {signature}; {_SHAPE}. "
            "Several values go into one attrs class or dataclass; a method is registered "
            "bound: service.handler(instance.method)."
        )

    default: object = inspect.Parameter.empty if len(parameters) == 1 else parameters[1].default
    inspected = HandlerSignature(
        input_name=parameters[1].name if len(parameters) == 2 else None,
        input_default=NO_DEFAULT if default is inspect.Parameter.empty else default,
        origin=origin,
        function=_unwrapped(function),
        owner=owner,
    )
    if "<locals>" in function.__qualname__:
        inspected.evaluate_early(scope)
    return inspected


def _check_async(function: FunctionType | MethodType, label: str) -> None:
    if inspect.isasyncgenfunction(function):
        raise DefinitionError(
            f"{label}: it is an async generator; a handler returns one value. Collect what it "
            "yields in a list, or send each to another handler."
        )

    if not inspect.iscoroutinefunction(function):
        raise DefinitionError(
            f"{label}: it is not 'async def'. Handlers must be 'async def' functions, and so "
            "must be the wrappers that decorators put around them; blocking work belongs in "
            "ctx.run(function), which runs a plain function in a worker thread."
        )


def _unwrapped(function: FunctionType | MethodType) -> FunctionType:
    inner: object = inspect.unwrap(function)
    plain = inner if isinstance(inner, FunctionType | MethodType) else function
    return cast("FunctionType", plain.__func__) if isinstance(plain, MethodType) else plain


def _origin(function: FunctionType | MethodType) -> str:
    code = _unwrapped(function).__code__
    return f"{function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"


def _shown(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        return f"the keyword-only parameter {parameter.name!r}"

    return f"'{parameter.replace(annotation=inspect.Parameter.empty)}'"

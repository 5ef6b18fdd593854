"""A handler: one function of a service, and how bytes get in and out of it.

Owns ``Handler`` and its kinds. Which handlers a service has is kept by the service
(``_services.py``); running them is the attempt's business.

 1. A handler stays the function it was: calling it calls that function, nothing else.
 2. Serdes are made when first needed, or when the service is bound, and kept.
 3. An input that does not fit is terminal (400): it would not fit the next time either.
"""

from __future__ import annotations

import enum
import functools
import inspect
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    final,
)

import attrs

from ._exceptions import DefinitionError, InvalidInputError, SerializationError, UsageError
from ._options import Place, ServiceOptions, resolve
from ._signature import NO_DEFAULT, HandlerSignature
from ._target import NO_INPUT
from .serde import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ._services import ServiceDefinition
    from .abc import Serde

C_contra = TypeVar("C_contra", contravariant=True)
P = ParamSpec("P")
O_co = TypeVar("O_co", covariant=True)


class HandlerKind(enum.Enum):
    """How invocations of a handler relate to each other."""

    SERVICE = "service"
    """They have no key and all run at once."""
    EXCLUSIVE = "exclusive"
    """One at a time per key; they may write the object's state."""
    SHARED = "shared"
    """They run at once beside the exclusive or main one, and only read state."""
    WORKFLOW = "workflow"
    """Once per key."""

    @property
    def keyed(self) -> bool:
        """Whether an invocation has a key."""
        return self is not HandlerKind.SERVICE

    @property
    def writes_state(self) -> bool:
        """Whether an invocation may change the state of its key."""
        return self in {HandlerKind.EXCLUSIVE, HandlerKind.WORKFLOW}


@final
@attrs.define(eq=False, repr=False, slots=False)
class Handler(Generic[C_contra, P, O_co]):
    """A function that was decorated as a handler of a service.

    ``C`` is its context's type, ``P`` its input (nothing or one parameter), ``O`` its
    output. Call it through ``ctx.call(handler, input)`` or ``ctx.send``; calling it as a
    function runs its body right here, as part of whoever calls: nothing is journaled of
    the call itself. That is what unit tests do, with a context of their own.
    """

    function: Callable[Concatenate[C_contra, P], Coroutine[Any, Any, O_co]]
    """What was decorated."""
    service: ServiceDefinition
    """The service it belongs to."""
    name: str
    """What callers call it; unique in its service."""
    kind: HandlerKind
    """How its invocations relate to each other."""
    place: Place
    """Where its options were given."""
    options: ServiceOptions
    """The options given to it; ``resolve_options`` tells which hold."""
    signature: HandlerSignature
    """What its annotations say."""
    _input_serde: Serde[Any] | None = attrs.field(default=None, init=False)
    _output_serde: Serde[Any] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        functools.update_wrapper(self, self.function, updated=())

    def __call__(
        self, ctx: C_contra, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, O_co]:
        """Call the function itself."""
        return self.function(ctx, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<Handler {self.service_name}/{self.name} ({self.kind.value})>"

    # -- as a call target

    @property
    def service_name(self) -> str:
        """The name of its service."""
        return self.service.name

    @property
    def handler_name(self) -> str:
        """Its name, as callers use it."""
        return self.name

    @property
    def keyed(self) -> bool:
        """Whether it is called with a key: True for objects and workflows."""
        return self.kind.keyed

    def encode_input(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """The body of a call with this input, which may be missing if it has a default.

        ``UsageError`` for an input too many or too few, ``SerializationError`` for one that
        cannot be encoded.
        """
        values = (*args, *kwargs.values())
        if len(values) > (1 if self.has_input else 0):
            raise UsageError(
                f"{self._label} takes {self._expected_input}, got {len(values)}: {values!r}"
            )

        if not values and self.input_required:
            raise UsageError(f"{self._label} takes {self._expected_input} and none was given")

        if not values:
            return NO_INPUT

        try:
            return self.input_serde.serialize(values[0])
        except SerializationError as exc:
            raise SerializationError(f"the input of {self._label}: {exc}") from exc

    def decode_output(self, body: bytes, /) -> O_co:
        """The value it returned to a caller. ``SerializationError`` if it does not fit."""
        try:
            return cast("O_co", self.output_serde.deserialize(body))
        except SerializationError as exc:
            raise SerializationError(f"what {self._label} returned: {exc}") from exc

    # -- as a callee

    def decode_input(self, body: bytes) -> tuple[Any, ...]:
        """The arguments after the context: none, or the input.

        ``InvalidInputError`` for a body that does not fit the annotation, for a missing one
        without default, and for one that is neither empty nor ``null`` without input.
        """
        if not self.has_input:
            if body.strip() in {b"", b"null"}:
                return ()

            raise InvalidInputError(
                f"{self._label} takes no input, but its body has {len(body)} bytes; "
                "send an empty body"
            )

        if not body and not self.input_required:
            return (self.input_default,)

        try:
            return (self.input_serde.deserialize(body),)
        except SerializationError as exc:
            if body:
                raise InvalidInputError(f"the input of {self._label} does not fit: {exc}") from exc

            raise InvalidInputError(
                f"{self._label} takes {self._expected_input}, but the body is empty"
            ) from exc

    def encode_output(self, value: Any) -> bytes:
        """The body of what it returned. ``SerializationError`` if it cannot be encoded."""
        try:
            return self.output_serde.serialize(value)
        except SerializationError as exc:
            raise SerializationError(
                f"the output of {self._label} ({self.signature.origin}): {exc}"
            ) from exc

    # -- as a definition

    @property
    def description(self) -> str | None:
        """What it is for: the option of that name, else the docstring."""
        return self.options.description or inspect.getdoc(self.function)

    @property
    def has_input(self) -> bool:
        """Whether its function has a parameter after the context."""
        return self.signature.input_name is not None

    @property
    def input_default(self) -> object:
        """What the input is when none is given, or ``NO_DEFAULT``."""
        return self.signature.input_default

    @property
    def input_required(self) -> bool:
        """Whether there is an input and it has no default."""
        return self.has_input and self.input_default is NO_DEFAULT

    @property
    def input_type(self) -> Any:
        """The annotation of its input: ``Any`` without annotation, None without input."""
        return self.signature.input_type

    @property
    def output_type(self) -> Any:
        """The annotation of its output: ``Any`` without annotation."""
        return self.signature.output_type

    @property
    def input_serde(self) -> Serde[Any]:
        """How its input is decoded."""
        if self._input_serde is None:
            self._input_serde = self.options.input_serde or self._serde_for(self.input_type)
        return self._input_serde

    @property
    def output_serde(self) -> Serde[Any]:
        """How its output is encoded."""
        if self._output_serde is None:
            self._output_serde = self.options.output_serde or self._serde_for(self.output_type)
        return self._output_serde

    @property
    def accept(self) -> str:
        """The media type of the input it takes."""
        return self.options.accept or self.input_serde.content_type

    @property
    def content_type(self) -> str:
        """The media type of its output."""
        return self.options.content_type or self.output_serde.content_type

    def resolve_options(self, defaults: ServiceOptions) -> ServiceOptions:
        """The options that hold for it, where ``defaults`` are those of the runtime or endpoint."""
        return resolve(self.options, self.service.options, defaults, self.place)

    def bind(self) -> None:
        """Evaluate the annotations and make the serdes, so that what is wrong shows now.

        ``DefinitionError`` if that cannot be done.
        """
        _ = (self.input_serde, self.output_serde)

    def _serde_for(self, annotation: Any) -> Serde[Any]:
        try:
            return (self.service.options.serde or serde_for)(annotation)
        except DefinitionError as exc:
            raise DefinitionError(
                f"{self._label}: there is no serde for {inspect.formatannotation(annotation)}: {exc}"
            ) from exc

    @property
    def _label(self) -> str:
        return f"{self.service_name}/{self.name}"

    @property
    def _expected_input(self) -> str:
        if not self.has_input:
            return "no input"

        name = self.signature.input_name
        return f"one input, {name}: {inspect.formatannotation(self.input_type)}"


AnyHandler: TypeAlias = Handler[Any, ..., Any]
"""A handler of whatever context, input and output."""

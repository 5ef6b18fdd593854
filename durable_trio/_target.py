"""What can be called: the port through which calls, sends and clients see a handler.

Owns ``CallTarget`` and ``RemoteHandler``, the handle of a handler whose code is elsewhere.
A handler defined here (``_handler.py``) is a target as well.

 1. A target encodes its input and decodes its output; a caller knows only bytes.
 2. No input is sent as an empty body: the callee fills in its own default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    final,
    overload,
)

import attrs

from ._exceptions import SerializationError, UsageError
from ._names import check_handler_name, check_service_name
from .serde import serde_for

if TYPE_CHECKING:
    from .abc import Serde

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
O_co = TypeVar("O_co", covariant=True)

Argument: TypeAlias = I | Callable[[I], NoReturn]
"""The input of a call, for type checkers: an ``I``, which the handler's annotation is.

Nothing is of the second half. Because of it mypy learns ``I`` from the handler before it looks
at the argument: ``"a"`` is then a ``Literal["a", "b"]`` and ``{"x": 1}`` a ``dict[str, float]``.
"""

NO_INPUT: Final = b""
"""The body that stands for no input at all."""


class CallTarget(Protocol[P, O_co]):
    """A handler as its callers see it: ``CallTarget[[I], O]``, or ``CallTarget[[], O]`` without input.

    A handler whose input has a default is both.
    """

    @property
    def service_name(self) -> str:
        """The name of its service."""
        ...

    @property
    def handler_name(self) -> str:
        """Its name, as callers use it."""
        ...

    @property
    def keyed(self) -> bool | None:
        """Whether a key is needed (objects, workflows) or not (services). None: not known here."""
        ...

    @property
    def input_serde(self) -> Serde[Any]:
        """Encodes the input."""
        ...

    @property
    def output_serde(self) -> Serde[Any]:
        """Decodes the output."""
        ...

    def encode_input(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """The body of a call. ``UsageError`` for an input too many or too few.

        ``SerializationError`` for an input that cannot be encoded.
        """
        ...

    def decode_output(self, body: bytes, /) -> O_co:
        """The value that a call returned. ``SerializationError`` if it does not fit."""
        ...


def check_key(target: CallTarget[..., Any], key: str | None) -> None:
    """``UsageError`` if ``target`` needs a key and there is none, or the other way round.

    Also if it is no handler at all.
    """
    if not hasattr(target, "service_name"):
        raise UsageError(
            "expected a handler, as the decorator made it, or remote(service, handler), got "
            f"{type(target).__name__}: {target!r}"
        )

    name = f"{target.service_name}/{target.handler_name}"
    if target.keyed and not key:
        raise UsageError(
            f"{name} belongs to an object or workflow, of which there is one per key: "
            f"pass key=, a string that is not empty (got {key!r})"
        )

    if target.keyed is False and key is not None:
        raise UsageError(f"{name} belongs to a Service, which has no keys: leave out key={key!r}")


class _Unknown:
    """The default of ``remote``'s types: nothing is known of them."""

    def __repr__(self) -> str:
        return "unknown"


_UNKNOWN: Final = _Unknown()


@final
@attrs.frozen(eq=False, repr=False)
class RemoteHandler(Generic[P, O_co]):
    """The handle of a handler that is served by somebody else. Made by ``remote``."""

    service_name: str
    """The name of its service."""
    handler_name: str
    """Its name, as callers use it."""
    input_serde: Serde[Any]
    """Encodes the input."""
    output_serde: Serde[Any]
    """Decodes the output."""
    has_input: bool | None
    """Whether it takes an input. None: not known."""
    keyed: bool | None = None
    """Not known: the server that has the handler checks the key."""

    def encode_input(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """The body of a call. ``UsageError`` for an input too many or too few.

        ``SerializationError`` for an input that cannot be encoded.
        """
        values = (*args, *kwargs.values())
        if len(values) > (0 if self.has_input is False else 1):
            takes = {None: "at most one input", True: "one input", False: "no input"}
            raise UsageError(
                f"{self!r} takes {takes[self.has_input]}, got {values!r}; "
                "say remote(..., input=<type>) if it takes one"
            )

        if not values and self.has_input:
            raise UsageError(
                f"{self!r} takes an input and none was given; say remote(..., input=None) if it "
                "takes none"
            )

        if not values:
            return NO_INPUT

        try:
            return self.input_serde.serialize(values[0])
        except SerializationError as exc:
            raise SerializationError(
                f"the input of {self.service_name}/{self.handler_name}: {exc}"
            ) from exc

    def decode_output(self, body: bytes, /) -> O_co:
        """The value that a call returned. ``SerializationError`` if it does not fit."""
        try:
            return cast("O_co", self.output_serde.deserialize(body))
        except SerializationError as exc:
            raise SerializationError(
                f"what {self.service_name}/{self.handler_name} returned: {exc}"
            ) from exc

    def __repr__(self) -> str:
        return f"<RemoteHandler {self.service_name}/{self.handler_name}>"


@overload
def remote(
    service: str, handler: str, *, input: type[I] | Serde[I], output: type[O] | Serde[O]
) -> RemoteHandler[[I], O]: ...
@overload
def remote(
    service: str, handler: str, *, input: None, output: type[O] | Serde[O]
) -> RemoteHandler[[], O]: ...
@overload
def remote(
    service: str, handler: str, *, input: type[I] | Serde[I], output: None
) -> RemoteHandler[[I], None]: ...
@overload
def remote(service: str, handler: str, *, input: None, output: None) -> RemoteHandler[[], None]: ...
@overload
def remote(
    service: str, handler: str, *, input: Any = ..., output: type[O] | Serde[O]
) -> RemoteHandler[..., O]: ...
@overload
def remote(
    service: str, handler: str, *, input: Any = ..., output: Any = ...
) -> RemoteHandler[..., Any]: ...
def remote(
    service: str,
    handler: str,
    *,
    input: Any = _UNKNOWN,  # noqa: A002
    output: Any = _UNKNOWN,
) -> RemoteHandler[..., Any]:
    """A handle to call a handler whose code is elsewhere, perhaps in another language.

    ``input`` and ``output`` are the types of its payloads or serdes for them, None where
    there is none. Left out, any JSON value is sent or received (and the input may be
    left out). ``DefinitionError`` for names that no service can have. Whether the handler
    exists is known only when it is called.
    """
    return RemoteHandler(
        check_service_name(service),
        check_handler_name(handler),
        serde_for(Any if input is _UNKNOWN else input),
        serde_for(Any if output is _UNKNOWN else output),
        has_input=None if input is _UNKNOWN else input is not None,
    )

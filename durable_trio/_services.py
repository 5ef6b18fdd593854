"""Definitions: the services that users declare, and the decorators that fill them.

Owns ``Service``, ``VirtualObject`` and ``Workflow``. It runs nothing; a runtime or an
endpoint is given the definitions and serves them (``_registry.py``).

 1. Whatever is wrong with a definition is a ``DefinitionError`` at the line that makes it;
    only what can still be added later, such as a workflow's main handler, is looked for
    when it is served.
 2. The decorator decides the kind of a handler and the context type that it may ask for.
"""

from __future__ import annotations

import enum
import inspect
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    Unpack,
    final,
    overload,
)

import attrs

from ._exceptions import DefinitionError
from ._handler import AnyHandler, Handler, HandlerKind
from ._names import check_handler_name, check_service_name, did_you_mean, known
from ._options import (
    HandlerArguments,
    KeyedServiceArguments,
    Place,
    ServiceArguments,
    ServiceOptions,
    options_of,
)
from ._signature import inspect_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from ._context import (
        Context,
        ObjectContext,
        ObjectSharedContext,
        WorkflowContext,
        WorkflowSharedContext,
    )

C = TypeVar("C")
P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741


class ServiceKind(enum.Enum):
    """What a service is. The values are how people call it."""

    SERVICE = "Service"
    VIRTUAL_OBJECT = "VirtualObject"
    WORKFLOW = "Workflow"


_DECORATORS: Final[Mapping[str, str]] = {
    "handler": "@service.handler and @object.handler are those of a Service and a VirtualObject; "
    "a Workflow has @workflow.main and @workflow.shared",
    "shared": "@object.shared and @workflow.shared are those of a VirtualObject and a Workflow; "
    "the handlers of a Service have no key to share and are all declared with @service.handler",
    "main": "@workflow.main is that of a Workflow",
}


@attrs.define(eq=False, repr=False)
class ServiceDefinition:
    """What ``Service``, ``VirtualObject`` and ``Workflow`` have in common.

    Handlers are its attributes: ``reports.build`` is the handler named ``build``. One whose
    name is taken by something else is found in ``handlers``.
    """

    name: str
    """What callers call it; unique in a runtime or endpoint."""
    kind: ServiceKind
    """Which of the three it is."""
    options: ServiceOptions
    """The options given to it."""
    _handlers: dict[str, AnyHandler] = attrs.field(factory=dict[str, AnyHandler], init=False)
    _bound: bool = attrs.field(default=False, init=False)

    @property
    def handlers(self) -> Mapping[str, AnyHandler]:
        """Its handlers by name, in the order of their definition."""
        return MappingProxyType(self._handlers)

    @property
    def description(self) -> str | None:
        """What it is for, if it was described."""
        return self.options.description

    @property
    def is_workflow(self) -> bool:
        """Whether it is a ``Workflow``."""
        return self.kind is ServiceKind.WORKFLOW

    def __getattr__(self, name: str) -> AnyHandler:
        if name in {"_handlers", "_bound"} or name.startswith("__"):
            raise AttributeError(name)

        handler = self._handlers.get(name)
        if handler is not None:
            return handler

        if name in _DECORATORS:
            raise DefinitionError(f"{self!r} has no decorator {name!r}: {_DECORATORS[name]}")

        raise AttributeError(
            f"{self!r} has no handler {name!r}.{did_you_mean(name, self._handlers)} "
            f"Its handlers: {known(self._handlers, 'none yet')}."
        )

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._handlers]

    def __repr__(self) -> str:
        return f"{self.kind.value}({self.name!r})"

    def add(self, handler: AnyHandler) -> None:
        """Take a handler in.

        ``DefinitionError`` for a second one of its name, a second main handler, or one that
        comes after ``bind``.
        """
        if self._bound:
            raise DefinitionError(
                f"{self!r} is served already and takes no more handlers: import the module that "
                f"defines {handler.signature.origin} before the runtime or endpoint is made"
            )

        for other in self._handlers.values():
            if other.name == handler.name:
                raise DefinitionError(
                    f"{self!r} has two handlers named {handler.name!r}: "
                    f"{other.signature.origin} and {handler.signature.origin}; rename one, or name it with name="
                )

            if other.kind is handler.kind is HandlerKind.WORKFLOW:
                raise DefinitionError(
                    f"{self!r} has two main handlers: {other.signature.origin} and {handler.signature.origin}; "
                    "a workflow runs one, and the others are declared with @workflow.shared"
                )

        self._handlers[handler.name] = handler

    def bind(self) -> None:
        """Conclude the definition, before it is served. May be called again.

        ``DefinitionError`` if there are no handlers, a workflow has no main one, or
        annotations cannot be evaluated or encoded.
        """
        if not self._handlers:
            raise DefinitionError(
                f"{self!r} has no handlers: import the module that defines them before it is served"
            )

        kinds = {handler.kind for handler in self._handlers.values()}
        if self.is_workflow and HandlerKind.WORKFLOW not in kinds:
            raise DefinitionError(
                f"{self!r} has no main handler: decorate the function that is the workflow "
                "with @workflow.main"
            )

        for handler in self._handlers.values():
            handler.bind()
        self._bound = True


@final
@attrs.frozen(eq=False)
class HandlerDecorator(Generic[C]):
    """Makes handlers of functions, bare (``@svc.handler``) or with options (``@svc.handler(...)``).

    ``C`` is the context that the function gets: it may ask for that type or one above it.
    """

    _service: ServiceDefinition = attrs.field(alias="service")
    _kind: HandlerKind = attrs.field(alias="kind")
    _place: Place = attrs.field(alias="place")
    _arguments: Mapping[str, Any] = attrs.field(alias="arguments", factory=dict[str, Any])

    @overload
    def __call__(
        self,
        function: Callable[Concatenate[C, P], Coroutine[Any, Any, O]],
        /,
        **options: Unpack[HandlerArguments],
    ) -> Handler[C, P, O]: ...
    @overload
    def __call__(self, /, **options: Unpack[HandlerArguments]) -> HandlerDecorator[C]: ...
    def __call__(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]] | None = None,
        /,
        **options: Unpack[HandlerArguments],
    ) -> Any:
        """Define a handler. The options are ``name`` and those of ``ServiceOptions``.

        ``DefinitionError`` for a function that cannot be a handler or an option that does
        not belong here.
        """
        arguments = {**self._arguments, **options}
        name = arguments.pop("name", None)
        given = options_of(self._place, arguments)
        if function is None:
            return attrs.evolve(self, arguments={**self._arguments, **options})

        if isinstance(function, str):
            raise DefinitionError(
                f"{self._service!r}: a handler's name is given as name={function!r}"
            )

        if isinstance(function, Handler):
            raise DefinitionError(
                f"{function!r} is a handler already: define another function for {self._service!r} "
                "that calls it"
            )

        frame = inspect.currentframe()
        caller = None if frame is None else frame.f_back
        scope = {} if caller is None else caller.f_locals
        signature = inspect_handler(function, repr(self._service), scope)
        handler = Handler(
            function=function,
            service=self._service,
            name=check_handler_name(function.__name__ if name is None else name),
            kind=self._kind,
            place=self._place,
            options=given,
            signature=signature,
        )
        self._service.add(handler)
        return handler


@final
class Service(ServiceDefinition):
    """Handlers that keep nothing between invocations and run as often at once as they are called.

    ``DefinitionError`` for a name that Restate would not take, or an unfit option. The
    options are explained in ``ServiceOptions``.
    """

    def __init__(self, name: str, **options: Unpack[ServiceArguments]) -> None:
        checked = check_service_name(name)
        super().__init__(checked, ServiceKind.SERVICE, options_of(Place.SERVICE, options))

    @property
    def handler(self) -> HandlerDecorator[Context]:
        """Decorator: a handler that takes a ``Context``."""
        return HandlerDecorator(self, HandlerKind.SERVICE, Place.SERVICE_HANDLER)


@final
class VirtualObject(ServiceDefinition):
    """Handlers that share the durable state of one object per key.

    ``DefinitionError`` for a name that Restate would not take, or an unfit option. The
    options are explained in ``ServiceOptions``.
    """

    def __init__(self, name: str, **options: Unpack[KeyedServiceArguments]) -> None:
        checked = check_service_name(name)
        super().__init__(checked, ServiceKind.VIRTUAL_OBJECT, options_of(Place.OBJECT, options))

    @property
    def handler(self) -> HandlerDecorator[ObjectContext]:
        """Decorator: an exclusive handler, which takes an ``ObjectContext``.

        One at a time runs per key, in the order of their calls; it may write state.
        """
        return HandlerDecorator(self, HandlerKind.EXCLUSIVE, Place.OBJECT_HANDLER)

    @property
    def shared(self) -> HandlerDecorator[ObjectSharedContext]:
        """Decorator: a shared handler, which takes an ``ObjectSharedContext``.

        It runs at once, beside others of its key, and only reads state.
        """
        return HandlerDecorator(self, HandlerKind.SHARED, Place.OBJECT_HANDLER)


@final
class Workflow(ServiceDefinition):
    """One main handler that runs once per key, and shared ones to talk to it.

    ``DefinitionError`` for a name that Restate would not take, or an unfit option. The
    options are explained in ``ServiceOptions``.
    """

    def __init__(self, name: str, **options: Unpack[KeyedServiceArguments]) -> None:
        checked = check_service_name(name)
        super().__init__(checked, ServiceKind.WORKFLOW, options_of(Place.WORKFLOW, options))

    @property
    def main(self) -> HandlerDecorator[WorkflowContext]:
        """Decorator: the main handler, which takes a ``WorkflowContext``. There is exactly one."""
        return HandlerDecorator(self, HandlerKind.WORKFLOW, Place.WORKFLOW_MAIN)

    @property
    def shared(self) -> HandlerDecorator[WorkflowSharedContext]:
        """Decorator: a shared handler, which takes a ``WorkflowSharedContext``.

        It runs at any time, before, beside and after the main one, and only reads state.
        """
        return HandlerDecorator(self, HandlerKind.SHARED, Place.WORKFLOW_SHARED)

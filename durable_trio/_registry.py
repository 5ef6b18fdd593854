"""The services that one runtime or endpoint serves, found by name.

Owns the look-up and the options that hold.

 1. A registry binds its services: from then on they take no more handlers, and every
    handler's annotations are evaluated and its serdes made. What is wrong with them stops
    the start, not the first invocation.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from ._exceptions import DefinitionError, UnknownServiceError
from ._handler import AnyHandler, Handler
from ._names import did_you_mean, known
from ._options import Place, ServiceOptions
from ._services import ServiceDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@final
class ServiceRegistry:
    """The services of one runtime or endpoint, with the options they fall back to.

    ``DefinitionError`` for two services of one name, a service without handlers, a workflow
    without main handler, annotations that cannot be evaluated or encoded, and default
    options that belong to a service or a handler.
    """

    def __init__(
        self, services: Iterable[ServiceDefinition], defaults: ServiceOptions | None = None
    ) -> None:
        self._defaults = (defaults or ServiceOptions()).check(Place.DEFAULTS)
        self._services: dict[str, ServiceDefinition] = {}
        self._options: dict[AnyHandler, ServiceOptions] = {}
        for service in services:
            self._add(service)

    @property
    def services(self) -> Mapping[str, ServiceDefinition]:
        """The services by name, in the order given."""
        return MappingProxyType(self._services)

    def find(self, service: str, handler: str) -> AnyHandler:
        """The handler of that name. ``UnknownServiceError`` naming those there are."""
        definition = self._services.get(service)
        if definition is None:
            raise UnknownServiceError(
                f"no service {service!r} is served here.{did_you_mean(service, self._services)} "
                f"Served are: {known(self._services, 'none')}."
            )

        found = definition.handlers.get(handler)
        if found is None:
            raise UnknownServiceError(
                f"{definition!r} has no handler {handler!r}."
                f"{did_you_mean(handler, definition.handlers)} "
                f"Its handlers: {known(definition.handlers, 'none')}."
            )

        return found

    def options(self, handler: AnyHandler) -> ServiceOptions:
        """The options that hold for a handler here. What nobody gave is None."""
        return self._options[handler]

    def replace(self, service: ServiceDefinition) -> None:
        """Serve this one from now on, instead of the one of its name if there is one.

        For tests: an attempt that runs goes on with the handler that it has.
        """
        self._services.pop(service.name, None)
        self._add(service)

    def _add(self, service: Any) -> None:
        if isinstance(service, Handler):
            raise DefinitionError(
                f"{service!r} is a handler; what is served is its service, {service.service!r}"
            )

        if not isinstance(service, ServiceDefinition):
            raise DefinitionError(
                f"only a Service, VirtualObject or Workflow can be served, got {service!r}"
            )

        if service.name in self._services:
            raise DefinitionError(
                f"two services are named {service.name!r}: rename one of them, or leave one out "
                "if it is the same"
            )

        service.bind()
        self._services[service.name] = service
        for handler in service.handlers.values():
            self._options[handler] = handler.resolve_options(self._defaults)

"""The registry: the last checks of definitions, and the look-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio._exceptions import DefinitionError, UnknownServiceError
from durable_trio._options import ServiceOptions
from durable_trio._registry import ServiceRegistry
from durable_trio._services import Service, VirtualObject, Workflow

if TYPE_CHECKING:
    from decimal import Decimal


async def build(_ctx: Any, count: int) -> int:
    """Build a report."""
    return count


async def broken(_ctx: Any, amount: Decimal) -> None:
    """Ask for what exists for type checkers only."""


def reports() -> Service:
    """A service with one handler."""
    service = Service("Reports", abort_timeout=2)
    service.handler(build)
    return service


def test_a_handler_is_found_by_name() -> None:
    """The service's name and the handler's lead to it."""
    service = reports()
    registry = ServiceRegistry([service])

    assert registry.find("Reports", "build") is service.build
    assert {"Reports": service} == dict(registry.services)


def test_an_unknown_service_names_those_there_are() -> None:
    """And the one that was probably meant."""
    registry = ServiceRegistry([reports()])

    with pytest.raises(
        UnknownServiceError, match=r"no service 'Report' .*mean 'Reports'\? Served are: Reports"
    ):
        registry.find("Report", "build")
    with pytest.raises(
        UnknownServiceError, match=r"no service 'X' is served here\. Served are: none"
    ):
        ServiceRegistry([]).find("X", "build")


def test_an_unknown_handler_names_those_there_are() -> None:
    """And the one that was probably meant."""
    with pytest.raises(UnknownServiceError, match=r"no handler 'biuld'.*mean 'build'\? .*: build"):
        ServiceRegistry([reports()]).find("Reports", "biuld")


def test_two_services_of_one_name_are_refused() -> None:
    """Calls could not tell them apart."""
    with pytest.raises(DefinitionError, match="two services are named 'Reports'"):
        ServiceRegistry([reports(), reports()])


def test_a_service_without_handlers_is_refused() -> None:
    """The likely cause is a module that was not imported."""
    with pytest.raises(DefinitionError, match=r"VirtualObject\('O'\) has no handlers: import"):
        ServiceRegistry([VirtualObject("O")])


def test_a_workflow_without_main_handler_is_refused() -> None:
    """Shared handlers alone never start it."""
    workflow = Workflow("W")
    workflow.shared(build)

    with pytest.raises(DefinitionError, match=r"has no main handler: .*@workflow\.main"):
        ServiceRegistry([workflow])


def test_an_annotation_that_cannot_be_evaluated_stops_the_start() -> None:
    """It is found before the first invocation."""
    service = Service("S")
    service.handler(broken)

    with pytest.raises(DefinitionError, match="'Decimal' of its input 'amount'"):
        ServiceRegistry([service])


@pytest.mark.parametrize("service", ["Reports", Service, None])
def test_what_is_no_service_is_refused(service: Any) -> None:
    """The error says what can be served."""
    with pytest.raises(DefinitionError, match="only a Service, VirtualObject or Workflow"):
        ServiceRegistry([service])


def test_a_handler_in_place_of_its_service_is_refused() -> None:
    """The remedy names the service."""
    handler: Any = reports().build

    with pytest.raises(
        DefinitionError, match=r"what is served is its service, Service\('Reports'\)"
    ):
        ServiceRegistry([handler])


def test_options_are_resolved_with_the_defaults() -> None:
    """The registry knows what holds for a handler where it is served."""
    service = reports()
    registry = ServiceRegistry([service], ServiceOptions(abort_timeout=9, inactivity_timeout=1))

    options = registry.options(service.build)

    assert (options.abort_timeout, options.inactivity_timeout) == (2.0, 1.0)


def test_defaults_that_belong_to_a_handler_are_refused() -> None:
    """An option that would never hold is an error at the start."""
    with pytest.raises(DefinitionError, match="workflow_retention is no option of the defaults"):
        ServiceRegistry([reports()], ServiceOptions(workflow_retention=3))


def test_one_service_can_be_served_twice() -> None:
    """Two runtimes of one process may serve the same definition."""
    service = reports()

    assert ServiceRegistry([service]).find("Reports", "build") is ServiceRegistry([service]).find(
        "Reports", "build"
    )


def test_a_service_is_replaced() -> None:
    """The one of the same name is found from then on, with its own options; or one more."""
    first, second = reports(), reports()
    registry = ServiceRegistry([first])
    registry.replace(second)
    assert registry.find("Reports", "build") is second.build
    assert registry.options(second.build).abort_timeout == 2
    other = Service("Others")
    other.handler(build)
    registry.replace(other)
    assert {"Reports": second, "Others": other} == dict(registry.services)

"""Services and their decorators: what becomes a handler, and what is refused where it is defined."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from durable_trio._exceptions import DefinitionError
from durable_trio._handler import HandlerKind
from durable_trio._options import ServiceOptions
from durable_trio._services import Service, ServiceKind, VirtualObject, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._context import (
        Context,
        ObjectContext,
        ObjectSharedContext,
        WorkflowContext,
        WorkflowSharedContext,
    )


async def build(ctx: Any, count: int) -> str:
    """Build a report."""
    return f"{ctx}: {count}"


async def ping(_ctx: Any) -> None:
    """Answer."""


DEFINITIONS: dict[str, Callable[[str], Any]] = {
    "Service": Service,
    "VirtualObject": VirtualObject,
    "Workflow": Workflow,
}

DECORATORS: dict[str, tuple[Callable[[], Any], HandlerKind, bool]] = {
    "Service.handler": (lambda: Service("S").handler, HandlerKind.SERVICE, False),
    "VirtualObject.handler": (lambda: VirtualObject("O").handler, HandlerKind.EXCLUSIVE, True),
    "VirtualObject.shared": (lambda: VirtualObject("O").shared, HandlerKind.SHARED, True),
    "Workflow.main": (lambda: Workflow("W").main, HandlerKind.WORKFLOW, True),
    "Workflow.shared": (lambda: Workflow("W").shared, HandlerKind.SHARED, True),
}


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_decorator_decides_the_kind(decorator: str) -> None:
    """Bare, empty or with options, it makes a handler of its own kind."""
    make, kind, keyed = DECORATORS[decorator]
    writes_state = decorator in {"VirtualObject.handler", "Workflow.main"}

    for decorate in (make(), make()(), make()(abort_timeout=1)):
        handler = decorate(build)
        assert (kind, keyed, "build") == (handler.kind, handler.keyed, handler.name)
        assert handler.kind.writes_state == writes_state


def test_definitions_as_users_write_them() -> None:
    """Every decorator, bare and with options, on functions that ask for their context."""
    reports = Service("Reports", description="Reports for users", abort_timeout=5)
    counter = VirtualObject("Counter")
    order = Workflow("Order", lazy_state=True)

    @reports.handler
    async def aggregate(_ctx: Context, user: str) -> str:
        return user

    @reports.handler(name="rebuild", inactivity_timeout=3)
    async def rebuild_all(_ctx: Context) -> None: ...

    @counter.handler
    async def add(_ctx: ObjectContext, amount: int = 1) -> int:
        return amount

    @counter.shared
    async def get(_ctx: ObjectSharedContext) -> int:
        return 0

    @order.main(workflow_retention=60)
    async def process(_ctx: WorkflowContext, items: list[str]) -> int:
        return len(items)

    @order.shared
    async def state(_ctx: WorkflowSharedContext) -> str:
        return "open"

    assert {"aggregate": aggregate, "rebuild": rebuild_all} == dict(reports.handlers)
    assert {"add": add, "get": get} == dict(counter.handlers)
    assert {"process": process, "state": state} == dict(order.handlers)
    assert [process.kind, state.kind] == [HandlerKind.WORKFLOW, HandlerKind.SHARED]
    assert (rebuild_all.service, rebuild_all.options.inactivity_timeout) == (reports, 3.0)
    assert process.options.workflow_retention == 60.0
    assert order.options == ServiceOptions(lazy_state=True)
    assert reports.description == "Reports for users"


@pytest.mark.parametrize("kind", ServiceKind)
def test_a_definition_knows_what_it_is(kind: ServiceKind) -> None:
    """Its kind and its repr are those of its class."""
    definition = DEFINITIONS[kind.value]("Shop")

    assert (kind, f"{kind.value}('Shop')") == (definition.kind, repr(definition))
    assert definition.is_workflow == (kind is ServiceKind.WORKFLOW)


@pytest.mark.parametrize("name", ["A", "a.b-c_1", "_1", "_a", "Reports"])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_name_that_restate_takes_is_taken(definition: str, name: str) -> None:
    """Letters, digits, dots, dashes and underscores make names."""
    assert DEFINITIONS[definition](name).name == name


@pytest.mark.parametrize("name", ["", "_", "1a", "-a", "a b", "a/b", "é", "a\n", "__a", None, 3])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_name_that_restate_does_not_take_is_refused(definition: str, name: Any) -> None:
    """The error says which names are allowed."""
    with pytest.raises(DefinitionError, match="cannot be the name of a service: it must be"):
        DEFINITIONS[definition](name)


@pytest.mark.parametrize("name", ["run", "_1", "_a", "getState", "a_1"])
def test_a_handler_may_be_named(name: str) -> None:
    """A name given as an option replaces the function's."""
    service = Service("S")

    assert service.handler(name=name)(build) is service.handlers[name]
    assert service.handlers[name].name == name


@pytest.mark.parametrize("name", ["", "_", "a.b", "a-b", "1", "__x", 3])
def test_a_bad_handler_name_is_refused(name: Any) -> None:
    """Dots and dashes, which a service may have, a handler may not."""
    with pytest.raises(DefinitionError, match="cannot be the name of a handler: it must be"):
        Service("S").handler(name=name)(build)


def test_a_lambda_needs_a_name() -> None:
    """A function's own name is checked as well, and the remedy is named."""

    async def function(_ctx: Any) -> None: ...

    function.__name__ = "<lambda>"

    with pytest.raises(DefinitionError, match="name it with"):
        Service("S").handler(function)


def test_handlers_are_attributes_of_their_service() -> None:
    """``service.name`` is the handler, and is listed by ``dir``."""
    service = Service("S")
    handler = service.handler(build)

    assert service.build is handler
    assert "build" in dir(service)


def test_a_handler_whose_name_is_taken_is_found_in_handlers() -> None:
    """An attribute of the definition keeps its meaning."""
    service = Service("S")
    handler = service.handler(name="name")(build)

    assert service.name == "S"
    assert service.handlers["name"] is handler


def test_an_unknown_handler_is_an_attribute_error() -> None:
    """It names the handler that was probably meant and all there are."""
    service = Service("S")
    service.handler(build)
    service.handler(ping)

    with pytest.raises(
        AttributeError, match=r"no handler 'biuld'\. Did you mean 'build'\? .*build, ping"
    ):
        _ = service.biuld

    assert not hasattr(service, "nothing")
    assert getattr(Service("Empty"), "nothing", None) is None


def test_handlers_cannot_be_changed_from_outside() -> None:
    """The mapping of handlers is read-only."""
    handlers: Any = Service("S").handlers

    with pytest.raises(TypeError):
        handlers["build"] = build


def test_a_definition_can_be_copied_and_compared_by_identity() -> None:
    """Looking for what a definition does not have never recurses."""
    service = Service("S")

    assert service != Service("S")
    assert copy.copy(service).name == "S"
    assert not hasattr(Service.__new__(Service), "build")


@pytest.mark.parametrize(
    ("definition", "decorator", "remedy"),
    [
        ("Service", "shared", "@service.handler"),
        ("Service", "main", "@workflow.main is that of a Workflow"),
        ("VirtualObject", "main", "@workflow.main is that of a Workflow"),
        ("Workflow", "handler", "@workflow.main and @workflow.shared"),
    ],
)
def test_a_decorator_of_another_kind_is_a_definition_error(
    definition: str, decorator: str, remedy: str
) -> None:
    """The error says which decorators there are."""
    with pytest.raises(DefinitionError, match=f"has no decorator '{decorator}': .*{remedy}"):
        getattr(DEFINITIONS[definition]("S"), decorator)


def test_two_handlers_of_one_name_are_refused() -> None:
    """The error names both places and the remedy; the first one stays."""
    service = Service("S")
    first = service.handler(build)

    with pytest.raises(DefinitionError, match=r"two handlers named 'build': .*name=") as caught:
        service.handler(name="build")(ping)

    assert str(caught.value).count(__file__) == 2
    assert service.build is first


def test_a_second_main_handler_is_refused() -> None:
    """A workflow runs one function; the others are shared."""
    workflow = Workflow("W")
    workflow.main(build)

    with pytest.raises(DefinitionError, match=r"two main handlers: .*@workflow\.shared"):
        workflow.main(ping)

    assert list(workflow.handlers) == ["build"]


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_plain_function_is_refused(decorator: str) -> None:
    """Handlers must be ``async def``, and the error says where blocking work goes."""

    def blocking(_ctx: Any) -> None: ...

    with pytest.raises(DefinitionError, match=r"must be 'async def' functions.*ctx\.run") as caught:
        DECORATORS[decorator][0]()(blocking)

    line = inspect.getsourcelines(blocking)[1]
    assert f"{__file__}:{line}" in str(caught.value)


def test_an_async_generator_is_refused() -> None:
    """A handler returns one value."""

    async def generate(_ctx: Any) -> Any:
        yield 1

    decorate: Any = Service("S").handler
    with pytest.raises(DefinitionError, match="async generator; a handler returns one value"):
        decorate(generate)


async def no_parameters() -> None: ...
async def three_parameters(_ctx: Any, _one: int, _two: int = 2) -> None: ...
async def star_arguments(_ctx: Any, *_args: int) -> None: ...
async def star_keywords(_ctx: Any, **_kwargs: int) -> None: ...
async def keyword_only(_ctx: Any, *, count: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_parameters, r"takes 0 parameters \(\)"),
        (three_parameters, r"takes 3 parameters \(.*one attrs class or dataclass"),
        (star_arguments, r"'\*_args' cannot be given by a caller"),
        (star_keywords, r"'\*\*_kwargs' cannot be given by a caller"),
        (keyword_only, "the keyword-only parameter 'count' cannot be given by a caller"),
    ],
)
def test_a_signature_that_no_caller_can_fill_is_refused(function: Any, message: str) -> None:
    """A handler takes its context and at most one input; the error names the function."""
    with pytest.raises(DefinitionError, match=message) as caught:
        Service("S").handler(function)

    assert function.__name__ in str(caught.value)
    assert "async def name(ctx, input)" in str(caught.value)


@pytest.mark.parametrize("function", [3, None.__class__, functools.partial(build, 1), Service("T")])
def test_what_is_no_function_is_refused(function: Any) -> None:
    """Classes, partials and other callables have no signature to rely on."""
    decorate: Any = Service("S").handler

    with pytest.raises(DefinitionError, match="must be an 'async def' function or method"):
        decorate(function)


def test_a_name_given_by_position_is_refused() -> None:
    """The likely mistake is answered with how to write it."""
    decorate: Any = Service("S").handler

    with pytest.raises(DefinitionError, match="given as name='build'"):
        decorate("build")


def test_a_handler_is_not_decorated_twice() -> None:
    """One function is one handler of one service."""
    handler: Any = Service("S").handler(build)

    with pytest.raises(DefinitionError, match=r"<Handler S/build .*> is a handler already"):
        Service("T").handler(handler)


def test_an_option_of_another_place_is_refused_at_the_decorator() -> None:
    """``@svc.handler(...)`` fails itself, before any function is defined under it."""
    with pytest.raises(DefinitionError, match="lazy_state is no option of a handler of a Service"):
        Service("S").handler(lazy_state=True)

    with pytest.raises(DefinitionError, match="idempotency_retention is no option of the main"):
        Workflow("W").main(idempotency_retention=3)

    wrong: Any = {"lazy_state": True}
    with pytest.raises(DefinitionError, match="lazy_state is no option of a Service"):
        Service("S", **wrong)


def test_options_of_repeated_calls_add_up() -> None:
    """A decorator with options is a decorator: it takes more of them."""
    handler = Service("S").handler(name="x", abort_timeout=1)(abort_timeout=2)(build)

    assert (handler.name, handler.options.abort_timeout) == ("x", 2.0)


def test_a_function_can_be_registered_with_options_in_one_call() -> None:
    """Without decorator syntax: the function first, options after it."""
    service = Service("S")

    assert service.handler(build, name="x") is service.x


def test_a_bound_method_is_a_handler() -> None:
    """An object can carry what its handlers need."""

    @attrs.frozen
    class Greeter:
        greeting: str

        async def greet(self, _ctx: Any, name: str) -> str:
            return f"{self.greeting} {name}"

    handler = Service("S").handler(Greeter("Hello").greet)

    assert (handler.name, handler.input_type, handler.output_type) == ("greet", str, str)


def test_a_decorated_function_keeps_its_signature() -> None:
    """A wrapper made with functools.wraps is looked through."""

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    handler: Any = Service("S").handler(traced(build))

    assert (handler.name, handler.input_type, handler.output_type) == ("build", int, str)


def test_annotations_of_a_wrapped_function_are_those_of_its_own_module() -> None:
    """A decorator from elsewhere does not know the names that they use."""
    elsewhere: dict[str, Any] = {"functools": functools}
    exec(  # another module's globals
        "def traced(function):\n"
        "    @functools.wraps(function)\n"
        "    async def wrapper(*args):\n"
        "        return await function(*args)\n"
        "    return wrapper",
        elsewhere,
    )

    async def price(_ctx: Any, _order: Any) -> None: ...

    price.__annotations__["_order"] = "HandlerKind"

    handler = Service("S").handler(elsewhere["traced"](price))

    assert handler.input_type is HandlerKind


def test_a_wrapper_without_wraps_is_refused_with_the_remedy() -> None:
    """What hides the signature is named."""

    async def wrapper(*_args: Any) -> None: ...

    with pytest.raises(DefinitionError, match=r"functools\.wraps"):
        Service("S").handler(wrapper)


def test_a_bound_service_takes_no_more_handlers() -> None:
    """A handler that comes too late would never be announced."""
    service = Service("S")
    service.handler(build)
    service.bind()
    service.bind()

    with pytest.raises(DefinitionError, match="served already and takes no more handlers: import"):
        service.handler(ping)

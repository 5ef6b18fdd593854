"""Handlers: still functions, and how bytes get in and out of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from durable_trio._exceptions import (
    DefinitionError,
    InvalidInputError,
    SerializationError,
    UsageError,
)
from durable_trio._options import ServiceOptions
from durable_trio._services import Service, VirtualObject
from durable_trio._signature import NO_DEFAULT
from durable_trio.serde import serde_for

if TYPE_CHECKING:
    from decimal import Decimal

    from durable_trio._handler import AnyHandler


def define(function: Any, **options: Any) -> AnyHandler:
    """The function as the only handler of a service named S."""
    return Service("S").handler(function, **options)


async def build(ctx: Any, report: Report) -> list[Report]:
    """Build a report."""
    return [report] * ctx


async def add(_ctx: Any, amount: int = 1) -> int:
    """Add."""
    return amount


async def ping(_ctx: Any) -> None:
    """Answer."""


async def untyped(_ctx: Any, value: Any) -> Any:
    """Take and return anything."""
    return value


untyped.__annotations__.clear()


@attrs.frozen
class Report:
    """Defined after the handler that names it."""

    title: str
    pages: int


# -- as a function


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_handler_is_called_as_the_function_it_was(backend: str) -> None:
    """Unit tests call it with a context of their own, by position or by name."""
    handler: Any = define(build)
    report = Report("Sales", 3)

    async def main() -> None:
        assert await handler(2, report) == [report, report]
        assert await handler(1, report=report) == [report]
        assert await define(add)(None) == 1

    anyio.run(main, backend=backend)


def test_a_handler_looks_like_its_function() -> None:
    """Name, module, docs and signature are the function's."""
    handler: Any = define(build, name="other")

    assert ("build", __name__, "Build a report.") == (
        handler.__name__,
        handler.__module__,
        handler.__doc__,
    )
    assert inspect.signature(handler) == inspect.signature(build)
    assert handler.__wrapped__ is build
    assert repr(handler) == "<Handler S/other (service)>"


def test_an_attribute_of_the_function_does_not_replace_one_of_the_handler() -> None:
    """Marks that other tools leave on a function stay there."""

    async def marked(_ctx: Any) -> None: ...

    marked.__dict__["name"] = "mark"

    assert define(marked).name == "marked"


def test_a_handler_is_described_by_its_docstring_or_its_option() -> None:
    """The option comes first."""

    async def undocumented(_ctx: Any) -> None: ...

    assert define(build).description == "Build a report."
    assert define(build, description="Builds").description == "Builds"
    assert define(undocumented).description is None


# -- what the function says


def test_annotations_are_evaluated_when_asked_for() -> None:
    """They may name what is defined further down."""
    handler = define(build)

    assert (Report, list[Report]) == (handler.input_type, handler.output_type)
    assert (handler.has_input, handler.input_required) == (True, True)
    assert handler.input_default is NO_DEFAULT


def test_an_input_may_have_a_default() -> None:
    """It is known, and the input is not required."""
    handler = define(add)

    assert (handler.has_input, handler.input_required) == (True, False)
    assert handler.input_default == 1


def test_none_can_be_a_default() -> None:
    """None is not taken for a missing default."""

    async def maybe(_ctx: Any, _value: int | None = None) -> None: ...

    handler = define(maybe)

    assert handler.input_default is None
    assert not handler.input_required
    assert handler.decode_input(b"") == (None,)


def test_a_handler_without_input_has_no_input_type() -> None:
    """There is nothing to annotate."""
    handler = define(ping)

    assert (handler.has_input, handler.input_required) == (False, False)
    assert handler.input_type is None
    assert handler.output_type in {None, type(None)}


def test_without_annotations_anything_goes() -> None:
    """Plain JSON values pass in and out."""
    handler = define(untyped)

    assert (Any, Any) == (handler.input_type, handler.output_type)
    assert handler.decode_input(b'{"a": [1]}') == ({"a": [1]},)
    assert handler.encode_output([1]) == b"[1]"


def test_a_nested_function_may_name_local_classes() -> None:
    """Where annotations are strings, local names are looked up where the handler is defined."""

    @attrs.frozen
    class Local:
        value: int

    service = Service("S")

    @service.handler
    async def local(_ctx: Any, value: Local) -> list[Local]:
        return [value]

    assert (Local, list[Local]) == (local.input_type, local.output_type)
    assert (Local(1),) == local.decode_input(b'{"value": 1}')


def test_a_nested_function_may_name_what_its_module_defines_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not there yet is looked up at first use."""

    async def late(_ctx: Any, value: Any) -> Any:
        return value

    late.__annotations__.update({"value": "Later", "return": "Later"})
    handler = define(late)
    with pytest.raises(DefinitionError, match="'Later'"):
        _ = handler.input_type

    monkeypatch.setitem(globals(), "Later", Report)

    assert (handler.input_type, handler.output_type) == (Report, Report)


def test_an_annotation_for_type_checkers_only_is_a_definition_error() -> None:
    """The error names handler, parameter, annotation, place and remedy."""

    async def pay(_ctx: Any, amount: Decimal) -> None: ...

    handler = define(pay)

    with pytest.raises(
        DefinitionError, match=r"pay.*'Decimal' of its input 'amount'.*TYPE_CHECKING"
    ) as caught:
        handler.bind()

    assert f"{__file__}:{inspect.getsourcelines(pay)[1]}" in str(caught.value)


def test_an_annotation_that_is_no_expression_is_a_definition_error_at_once() -> None:
    """A nested function's annotations are tried where it is defined."""

    async def broken(_ctx: Any) -> None: ...

    broken.__annotations__["return"] = "int |"

    with pytest.raises(DefinitionError, match="of its returned value cannot be evaluated"):
        define(broken)


def test_the_context_annotation_is_never_evaluated() -> None:
    """It may be imported for type checkers only."""

    async def typed(_ctx: Any, value: int) -> int:
        return value

    typed.__annotations__["_ctx"] = "Nowhere"

    assert define(typed).input_type is int


# -- serdes


def test_serdes_are_made_once_when_needed() -> None:
    """They are kept, because every invocation needs them."""
    handler = define(add)

    assert handler.input_serde is handler.input_serde
    assert handler.output_serde is handler.output_serde


def test_a_serde_option_replaces_the_annotations() -> None:
    """The handler's own serde is used, and its media type announced."""
    handler = define(untyped, input_serde=serde_for(bytes), output_serde=serde_for(bytes))

    assert handler.decode_input(b"\x00") == (b"\x00",)
    assert handler.encode_output(b"\x01") == b"\x01"
    assert handler.accept == handler.content_type == serde_for(bytes).content_type


def test_a_service_may_make_the_serdes_of_all_its_handlers() -> None:
    """It is given each annotation; a handler's own serde still comes first."""
    asked: list[Any] = []

    def serde(annotation: Any) -> Any:
        asked.append(annotation)
        return serde_for(bytes)

    service = Service("S", serde=serde)
    handler = service.handler(input_serde=serde_for(int))(build)

    assert handler.decode_input(b"7") == (7,)
    assert handler.encode_output(b"raw") == b"raw"
    assert asked == [list[Report]]


def test_media_types_can_be_given() -> None:
    """They are announced as given."""
    handler = define(build, accept="application/*", content_type="application/vnd.report+json")

    assert (handler.accept, handler.content_type) == (
        "application/*",
        "application/vnd.report+json",
    )
    assert define(build).accept == define(build).content_type == "application/json"


def test_a_type_without_serde_names_the_handler() -> None:
    """Binding finds it, before the first invocation does."""

    async def stream(_ctx: Any, _source: memoryview) -> None: ...

    with pytest.raises(DefinitionError, match="S/stream: there is no serde for memoryview"):
        define(stream).bind()


def test_options_fall_back_to_the_service_and_the_defaults() -> None:
    """A handler resolves its options with those of its service and the runtime."""
    counter = VirtualObject("Counter", abort_timeout=2, lazy_state=True)
    handler = counter.handler(add, journal_retention=1)

    options = handler.resolve_options(ServiceOptions(inactivity_timeout=3, abort_timeout=9))

    assert (
        options.journal_retention,
        options.abort_timeout,
        options.inactivity_timeout,
        options.lazy_state,
    ) == (1.0, 2.0, 3.0, True)


# -- input


def test_an_input_is_decoded_by_its_annotation() -> None:
    """The arguments after the context come back."""
    assert (Report("Sales", 3),) == define(build).decode_input(b'{"title": "Sales", "pages": 3}')


def test_an_input_that_does_not_fit_is_terminal() -> None:
    """It is a 400 that names the handler and the field."""
    with pytest.raises(
        InvalidInputError, match=r"input of S/build does not fit: .*pages"
    ) as caught:
        define(build).decode_input(b'{"title": "Sales", "pages": "many"}')

    assert caught.value.code == 400


def test_a_missing_input_is_terminal() -> None:
    """It is a 400 that names the handler and the expected type."""
    with pytest.raises(
        InvalidInputError, match=r"S/build takes one input, report: .*Report, but the body is empty"
    ):
        define(build).decode_input(b"")


def test_a_missing_input_takes_its_default() -> None:
    """An empty body means: no input given."""
    assert define(add).decode_input(b"") == (1,)
    assert define(add).decode_input(b"5") == (5,)


def test_a_missing_input_is_null_where_null_fits() -> None:
    """JSON has a value for nothing."""

    async def maybe(_ctx: Any, _value: int | None) -> None: ...

    assert define(maybe).decode_input(b"") == (None,)


def test_an_empty_body_is_no_bytes() -> None:
    """Where the input is bytes, none at all is a value."""

    async def raw(_ctx: Any, _value: bytes) -> None: ...

    assert define(raw).decode_input(b"") == (b"",)


@pytest.mark.parametrize("body", [b"", b"null", b" null\n", b"  "])
def test_nothing_is_taken_where_no_input_is(body: bytes) -> None:
    """Empty and null mean nothing."""
    assert define(ping).decode_input(body) == ()


@pytest.mark.parametrize("body", [b"3", b"{}", b'""', b"\x00"])
def test_an_input_where_none_is_taken_is_terminal(body: bytes) -> None:
    """A caller that sends something means something: silence would hide the mistake."""
    with pytest.raises(InvalidInputError, match="S/ping takes no input"):
        define(ping).decode_input(body)


# -- as a target


def test_a_caller_encodes_the_input() -> None:
    """One value, as the callee decodes it."""
    handler = define(build)
    report = Report("Sales", 3)

    assert (report,) == handler.decode_input(handler.encode_input(report))
    assert (report,) == handler.decode_input(handler.encode_input(report=report))


def test_a_caller_leaves_a_default_to_the_callee() -> None:
    """No input is an empty body."""
    assert define(add).encode_input() == b""
    assert define(ping).encode_input() == b""


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (build, (), r"S/build takes one input, report: .*Report and none was given"),
        (build, (1, 2), "S/build takes one input, .* got 2"),
        (ping, (1,), r"S/ping takes no input, got 1: \(1,\)"),
    ],
)
def test_an_input_too_many_or_too_few_is_a_usage_error(
    function: Any, arguments: tuple[Any, ...], message: str
) -> None:
    """The caller's line fails, not the callee."""
    with pytest.raises(UsageError, match=message):
        define(function).encode_input(*arguments)


def test_an_output_is_encoded_by_its_annotation() -> None:
    """What the handler returned is what the caller gets."""
    handler = define(build)
    reports = [Report("Sales", 3)]

    assert reports == handler.decode_output(handler.encode_output(reports))


def test_an_output_that_cannot_be_encoded_names_the_handler() -> None:
    """It is an error of the handler's code."""
    with pytest.raises(SerializationError, match=r"the output of S/untyped \(.*untyped.*\): "):
        define(untyped).encode_output(object())


def test_no_output_comes_back_as_none() -> None:
    """Whether a peer says null or nothing."""
    handler = define(ping)

    assert handler.decode_output(handler.encode_output(None)) is None
    assert handler.decode_output(b"") is None
    assert handler.decode_output(b"null") is None

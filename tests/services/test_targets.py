"""Call targets: handlers elsewhere, and keys."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import pytest

from durable_trio._exceptions import DefinitionError, SerializationError, UsageError
from durable_trio._services import Service, VirtualObject, Workflow
from durable_trio._target import check_key, remote
from durable_trio.serde import serde_for


@attrs.frozen
class Order:
    """What a peer takes and gives."""

    items: list[str]


async def ping(_ctx: Any) -> None:
    """Answer."""


def test_a_remote_handler_is_named() -> None:
    """It says where calls go, and that its keys are not known here."""
    target = remote("Shop.v1", "place", input=Order, output=Order)

    assert (
        target.service_name,
        target.handler_name,
        target.keyed,
    ) == ("Shop.v1", "place", None)
    assert repr(target) == "<RemoteHandler Shop.v1/place>"


def test_the_signature_of_remote_names_its_defaults() -> None:
    """What ``help()`` shows for types that are left out can be read."""
    assert "input: 'Any' = unknown, output: 'Any' = unknown" in str(inspect.signature(remote))


def test_a_remote_handler_with_types_encodes_and_decodes_them() -> None:
    """Types are those of the payloads."""
    target = remote("Shop", "place", input=Order, output=list[Order])

    assert target.encode_input(Order(["a"])) == b'{"items":["a"]}'
    assert [Order(["b"])] == target.decode_output(b'[{"items":["b"]}]')
    with pytest.raises(SerializationError, match="items"):
        target.decode_output(b'[{"items":3}]')


def test_a_remote_handler_takes_serdes_in_place_of_types() -> None:
    """Payloads of any form can be exchanged."""
    target = remote("Shop", "place", input=serde_for(bytes), output=serde_for(bytes))

    assert target.encode_input(b"\x00") == b"\x00"
    assert target.decode_output(b"") == b""


def test_a_remote_handler_without_types_takes_json() -> None:
    """Whatever is JSON, or nothing at all."""
    target = remote("Shop", "place")

    assert target.encode_input() == b""
    assert target.encode_input({"a": 1}) == b'{"a":1}'
    assert target.decode_output(b'{"a":1}') == {"a": 1}
    assert target.decode_output(b"") is None


def test_a_remote_handler_without_input_and_output() -> None:
    """None says that there is none."""
    target = remote("Shop", "close", input=None, output=None)

    assert target.encode_input() == b""
    target.decode_output(b"")


def test_an_input_too_many_or_too_few_is_a_usage_error() -> None:
    """The remedy is in how the handle was made."""
    nothing: Any = remote("Shop", "close", input=None, output=None)
    something: Any = remote("Shop", "place", input=Order, output=None)
    unknown: Any = remote("Shop", "place")

    with pytest.raises(UsageError, match=r"takes no input, got .*input=<type>"):
        nothing.encode_input(3)
    with pytest.raises(UsageError, match=r"takes an input and none was given; .*input=None"):
        something.encode_input()
    with pytest.raises(UsageError, match=r"takes one input, got \(1, 2\)"):
        something.encode_input(1, 2)
    with pytest.raises(UsageError, match=r"at most one input, got \(1, 2\)"):
        unknown.encode_input(1, 2)


@pytest.mark.parametrize(("service", "handler"), [("a b", "place"), ("Shop", "place-order")])
def test_a_name_that_nobody_can_have_is_refused(service: str, handler: str) -> None:
    """A typo fails where the handle is made."""
    with pytest.raises(DefinitionError, match="cannot be the name of a"):
        remote(service, handler)


def test_objects_and_workflows_need_a_key() -> None:
    """The error says what to pass."""
    for target in (VirtualObject("O").handler(ping), Workflow("W").main(ping)):
        check_key(target, "user-42")
        for key in (None, ""):
            with pytest.raises(UsageError, match=r"/ping belongs to an object or workflow.*key="):
                check_key(target, key)


def test_services_have_no_key() -> None:
    """A key that would be ignored is refused."""
    target = Service("S").handler(ping)

    check_key(target, None)
    with pytest.raises(UsageError, match="S/ping belongs to a Service, which has no keys"):
        check_key(target, "user-42")


@pytest.mark.parametrize("key", [None, "", "user-42"])
def test_keys_of_remote_handlers_are_left_to_their_server(key: str | None) -> None:
    """Nothing is known of them here."""
    check_key(remote("Shop", "place"), key)

"""Which serde an annotation gets: bytes, custom ones, JSON."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import inspect
from typing import Annotated, Any, NewType
from uuid import UUID

import attrs
import pytest

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import Serde, bytes_serde, json_schema, json_serde, serde_for

Raw = NewType("Raw", bytes)


class UpperSerde:
    """A serde as a user writes one: any object with these members."""

    content_type = "text/plain"

    def serialize(self, value: str) -> bytes:
        if not isinstance(value, str):
            raise SerializationError(f"expected str, got {value!r}")
        return value.upper().encode()

    def deserialize(self, data: bytes) -> str:
        return data.decode().lower()


class CommaSerde:
    """A serde whose bytes are JSON."""

    content_type = "application/vnd.comma+json; charset=utf-8"

    def serialize(self, value: tuple[str, ...]) -> bytes:
        return json_serde(str).serialize(",".join(value))

    def deserialize(self, data: bytes) -> tuple[str, ...]:
        return tuple(json_serde(str).deserialize(data).split(","))


Upper = Annotated[str, UpperSerde()]
Comma = Annotated[tuple[str, ...], CommaSerde()]


@attrs.define(eq=True, unsafe_hash=False)
class UnhashableSerde:
    """A serde that no cache can keep."""

    content_type: str = "application/json"

    def serialize(self, value: int) -> bytes:
        return str(value).encode()

    def deserialize(self, data: bytes) -> int:
        return int(data)


@attrs.frozen
class Message:
    title: Upper
    parts: Comma
    maybe: Upper | None = None


def test_bytes_are_written_as_they_are() -> None:
    """No encoding at all, and no bytes are bytes as well."""
    assert bytes_serde.content_type == "application/octet-stream"
    assert bytes_serde.serialize(b"\x00\xff") == b"\x00\xff"
    assert bytes_serde.serialize(bytearray(b"a")) == b"a"  # type: ignore[arg-type]
    assert bytes_serde.deserialize(b"") == b""
    assert isinstance(bytes_serde, Serde)


def test_bytes_serde_takes_nothing_else() -> None:
    """A str would have to be encoded, and only its owner knows how."""
    with pytest.raises(SerializationError, match="expected bytes, found str 'a'"):
        bytes_serde.serialize("a")  # type: ignore[arg-type]


@pytest.mark.parametrize("annotation", [bytes, Raw, Annotated[bytes, "raw"]])
def test_bytes_get_the_bytes_serde(annotation: Any) -> None:
    """A handler that takes bytes gets the body as it is."""
    assert serde_for(annotation) is bytes_serde


@pytest.mark.parametrize("annotation", [int, list[bytes], bytes | None, dict])
def test_other_types_get_the_json_serde(annotation: Any) -> None:
    """JSON is the default, also for what contains bytes."""
    assert serde_for(annotation) is json_serde(annotation)


@pytest.mark.parametrize("annotation", [Any, inspect.Parameter.empty])
def test_a_missing_annotation_is_plain_json(annotation: Any) -> None:
    """Without annotation a value is what JSON has itself."""
    assert serde_for(annotation).deserialize(b'{"a":[1]}') == {"a": [1]}


def test_a_serde_in_annotated_is_taken() -> None:
    """A type with a serde of its own is written with that."""
    assert serde_for(Upper).serialize("abc") == b"ABC"
    assert serde_for(NewType("Named", Upper)).content_type == "text/plain"  # pyright: ignore[reportGeneralTypeIssues]


def test_a_serde_stands_for_itself() -> None:
    """Where an annotation is taken, a serde is as well; its class is not."""
    serde = UpperSerde()

    assert serde_for(serde) is serde
    with pytest.raises(DefinitionError):
        serde_for(UpperSerde)


def test_a_serde_inside_of_json_is_used_in_its_place() -> None:
    """Its bytes are put in as they are if they are JSON, else as base64."""
    serde = json_serde(list[Message])
    value = [Message("abc", ("x", "y"))]

    written = serde.serialize(value)

    assert written == b'[{"title":"QUJD","parts":"x,y","maybe":null}]'
    assert serde.deserialize(written) == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b'[{"title":1,"parts":""}]', "expected str as base64 at $[0].title, found 1"),
        (b'[{"title":"?","parts":""}]', "expected str as base64 at $[0].title"),
        (b'[{"title":"","parts":1}]', "rejected at $[0].parts with SerializationError"),
    ],
)
def test_errors_inside_of_a_nested_serde_have_a_path(written: bytes, message: str) -> None:
    """The path leads to the nested value; what is wrong there is told by its serde."""
    with pytest.raises(SerializationError) as caught:
        json_serde(list[Message]).deserialize(written)

    assert message in str(caught.value)


def test_a_value_that_the_nested_serde_refuses_has_a_path() -> None:
    """The error of the nested serde is told with the place of the value."""
    with pytest.raises(SerializationError, match=r"rejected at \$\[0\]\.title with Serializ"):
        json_serde(list[Message]).serialize([Message(1, ())])  # type: ignore[arg-type]


def test_a_serde_that_cannot_be_hashed_can_be_used() -> None:
    """It is only not kept."""
    annotation = Annotated[int, UnhashableSerde()]

    assert json_serde(annotation).deserialize(b"1") == 1
    assert json_serde(list[annotation]).deserialize(b"[1]") == [1]
    assert json_schema(list[annotation])["items"] == {}


def test_an_encoding_error_of_a_nested_serde_is_told() -> None:
    """The serde's own UnicodeEncodeError is no different from its other errors."""
    with pytest.raises(SerializationError, match="with UnicodeEncodeError"):
        json_serde(Upper).serialize("\ud800")


@pytest.mark.parametrize("annotation", [Upper | UUID, Comma | int, Comma | dict[str, int]])
def test_a_nested_serde_is_not_told_from_what_it_could_have_written(annotation: Any) -> None:
    """Nobody knows what its bytes look like."""
    with pytest.raises(DefinitionError, match=r"cannot be told|can be told"):
        json_serde(annotation)

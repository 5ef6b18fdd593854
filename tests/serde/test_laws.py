"""The laws of serialization, for types and values drawn at random."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import contextlib
import json
from typing import Any, Union

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_schema, json_serde

from .strategies import Sample, Typed, plain_json, samples, types

# Making a class for every example is slow, and how slow depends on the machine.
thorough = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(samples)
@thorough
def test_a_value_comes_back_equal(sample: Sample) -> None:
    """Decoding what was encoded gives an equal value of the same class."""
    serde = json_serde(sample.annotation)

    back = serde.deserialize(serde.serialize(sample.value))

    assert back == sample.value
    assert type(back) is type(sample.value)


@given(samples)
@thorough
def test_equal_values_are_written_as_equal_bytes(sample: Sample) -> None:
    """What came back is written exactly as the value it came from."""
    serde = json_serde(sample.annotation)
    written = serde.serialize(sample.value)

    assert serde.serialize(serde.deserialize(written)) == written


@given(samples)
@thorough
def test_what_is_written_satisfies_the_schema(sample: Sample) -> None:
    """The JSON Schema of a type accepts all that the type writes."""
    schema = json_schema(sample.annotation)
    Draft202012Validator.check_schema(schema)

    written = json.loads(json_serde(sample.annotation).serialize(sample.value))

    assert not list(Draft202012Validator(schema).iter_errors(written))


@given(types, plain_json)
@thorough
def test_any_document_is_refused_or_read_faithfully(typed: Typed, document: Any) -> None:
    """JSON that does not fit raises SerializationError; what is read can be written again."""
    serde = json_serde(typed.annotation)
    try:
        value = serde.deserialize(json.dumps(document).encode())
    except SerializationError:
        return

    assert serde.deserialize(serde.serialize(value)) == value


@given(types, samples)
@thorough
def test_any_value_is_refused_or_comes_back_equal(typed: Typed, sample: Sample) -> None:
    """A value of another type raises SerializationError, unless it comes back equal."""
    serde = json_serde(typed.annotation)
    try:
        written = serde.serialize(sample.value)
    except SerializationError:
        return

    assert serde.deserialize(written) == sample.value


@given(types, st.binary(max_size=20))
@thorough
def test_no_bytes_raise_anything_else(typed: Typed, data: bytes) -> None:
    """Bytes that are no JSON raise SerializationError and nothing else."""
    with contextlib.suppress(SerializationError):
        json_serde(typed.annotation).deserialize(data)


@given(st.lists(types, min_size=2, max_size=3), st.data())
@thorough
def test_a_union_is_refused_or_its_values_come_back_equal(
    members: list[Typed], data: st.DataObject
) -> None:
    """A union that JSON cannot tell apart is refused; else values come back, or are refused."""
    annotation: Any = Union[tuple(member.annotation for member in members)]  # noqa: UP007
    value = data.draw(data.draw(st.sampled_from(members)).values)
    try:
        serde = json_serde(annotation)
    except DefinitionError:
        event("refused when defined")
        return

    try:
        written = serde.serialize(value)
    except SerializationError:
        event("refused when written")
        return

    event("came back")
    assert serde.deserialize(written) == value
    assert not list(Draft202012Validator(json_schema(annotation)).iter_errors(json.loads(written)))

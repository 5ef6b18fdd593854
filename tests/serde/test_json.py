"""The edge: bytes that are no JSON, no bytes at all, deep documents, threads, imports."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import attrs
import pytest

from durable_trio import SerializationError
from durable_trio.serde import Serde, json_serde


@attrs.define
class Nested:
    inner: Nested | None = None


@attrs.define
class Branch:
    children: list[Branch]


@attrs.define
class Refusing:
    children: list[Refusing] | None

    def __attrs_post_init__(self) -> None:
        if self.children is None:
            raise ValueError("no children")


@pytest.mark.parametrize("annotation", [None, int | None, Any, object])
def test_nothing_at_all_is_none_where_none_fits(annotation: Any) -> None:
    """An empty body is None for what may be None."""
    assert json_serde(annotation).deserialize(b"") is None


@pytest.mark.parametrize("annotation", [int, str, list[int], dict, Nested])
def test_nothing_at_all_is_missing_elsewhere(annotation: Any) -> None:
    """An empty body is an error that says so where None does not fit."""
    with pytest.raises(SerializationError, match="the input is missing: expected"):
        json_serde(annotation).deserialize(b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": tru}', "expecting value at line 1, column 7, found 'tru}'"),
        (b"[1,\n x]", "at line 2, column 2, found 'x]'"),
        (b"[1 2]", "expecting ',' delimiter at line 1, column 4, found '2]'"),
        (b'{"a":1', "expecting ',' delimiter at line 1, column 7, found its end"),
        (b"1 2", "extra data at line 1, column 3, found '2'"),
        (b"NaN", "invalid character"),
        (b"1e999", "Number out of range"),
        (b'"\xff"', "invalid UTF-8 at byte 1"),
        (b"\xef\xbb\xbf1", "BOM"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'"\\ud800"', "Input data was truncated"),
    ],
)
def test_what_is_no_json_is_refused_with_the_position(data: bytes, message: str) -> None:
    """The error says where it stops being JSON."""
    with pytest.raises(SerializationError) as caught:
        json_serde(Any).deserialize(data)

    assert message in str(caught.value)
    assert "must be one JSON document in UTF-8" in str(caught.value)


def test_numbers_are_read_exactly() -> None:
    """An integer of any length stays an integer, also where nothing is annotated."""
    number: object = json_serde(Any).deserialize(b"123456789012345678901234567890")
    numbers: object = json_serde(Any).deserialize(b"[0.1, 1e308, -0.0]")

    assert number == 123456789012345678901234567890
    assert numbers == [0.1, 1e308, -0.0]


def test_a_deep_value_is_refused_when_written() -> None:
    """Depth is limited by the interpreter; beyond it is an error, not a crash."""
    value = Nested()
    for _ in range(100_000):
        value = Nested(value)

    with pytest.raises(SerializationError, match="nested too deeply"):
        json_serde(Nested).serialize(value)

    while value.inner is not None:
        value = value.inner


def test_a_deep_document_is_refused_when_read() -> None:
    """A document that is too deep for its type is an error, not a crash."""
    depth = sys.getrecursionlimit() // 2
    data = b'{"inner":' * depth + b"null" + b"}" * depth

    with pytest.raises(SerializationError, match="nested too deeply"):
        json_serde(Nested).deserialize(data)


def test_the_place_of_an_error_may_be_too_deep_to_be_found() -> None:
    """What does not fit is told all the same."""
    for depth in range(sys.getrecursionlimit(), 0, -1):
        data = b'{"children":[' * depth + b'"x"' + b"]}" * depth
        with pytest.raises(SerializationError) as caught:
            json_serde(Branch).deserialize(data)
        if "nested too deeply" not in str(caught.value):
            break

    assert str(caught.value) == (
        'cannot read Branch from JSON: expected Branch at $[...], found "x"'
    )


def test_the_place_of_a_refusal_may_be_too_deep_to_be_found() -> None:
    """A class that refuses its values is told all the same."""
    for depth in range(sys.getrecursionlimit(), 0, -1):
        data = b'{"children":[' * depth + b'{"children":null}' + b"]}" * depth
        with pytest.raises(SerializationError) as caught:
            json_serde(Refusing).deserialize(data)
        if "nested too deeply" not in str(caught.value):
            break

    assert "no children" in str(caught.value)


def test_a_long_path_is_cut_in_the_middle() -> None:
    """The error message stays short."""
    data = b'{"inner":' * 30 + b'"x"' + b"}" * 30

    with pytest.raises(SerializationError) as caught:
        json_serde(Nested).deserialize(data)

    assert f"at $.{'inner.' * 9}inner[...].{'inner.' * 9}inner, found" in str(caught.value)


def test_the_error_has_its_cause() -> None:
    """The error of the codec is chained, for debugging."""
    with pytest.raises(SerializationError) as caught:
        json_serde(int).deserialize(b'"x"')

    assert isinstance(caught.value.__cause__, ValueError)


def test_bytes_like_input_is_read() -> None:
    """A bytearray and a memoryview are as good as bytes."""
    assert json_serde(int).deserialize(bytearray(b"1")) == 1  # type: ignore[arg-type]
    assert json_serde(int).deserialize(memoryview(b"1")) == 1  # type: ignore[arg-type]
    with pytest.raises(SerializationError, match=r"found '\}'"):
        json_serde(int).deserialize(memoryview(b"[}"))  # type: ignore[arg-type]


def test_it_is_a_serde() -> None:
    """It has the members of the port."""
    assert isinstance(json_serde(int), Serde)
    assert json_serde(int).content_type == "application/json"


def test_serdes_are_made_safely_in_several_threads() -> None:
    """Threads that ask for recursive types at once all get working serdes."""

    @attrs.define
    class A:
        b: B | None = None

    @attrs.define
    class B:
        a: A | None = None

    # Resolves the names while this frame is there; the threads race for the rest.
    scope_keeper = json_serde(dict[str, A])
    results: list[object] = []
    barrier = threading.Barrier(4)

    def work(annotation: Any, value: object) -> None:
        barrier.wait()
        serde = json_serde(annotation)
        results.append(serde.deserialize(serde.serialize(value)) == value)

    threads = [
        threading.Thread(target=work, args=args)
        for args in (
            (list[A], [A(B(A()))]),
            (list[B], [B(A(B()))]),
            (tuple[A, B], (A(), B(A()))),
            (dict[str, B], {"b": B()}),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert scope_keeper
    assert results == [True] * 4


@pytest.mark.parametrize("module", ["pydantic", "cattrs"])
def test_importing_it_imports_no_more_than_needed(module: str) -> None:
    """Libraries are imported when the first type needs them, pydantic only for its own types."""
    program = (
        "import sys; from durable_trio.serde import json_serde, json_schema, serde_for;"
        "serde = json_serde(dict[str, list[int]]); serde.deserialize(serde.serialize({'a': [1]}));"
        f"sys.exit({module!r} in sys.modules)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        check=False,
    )

    assert ran.returncode == 0

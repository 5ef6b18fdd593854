"""JSON libraries under cattrs, and ``json_serde``, on a scalar, an object and a long list.

For the choice of the library: cattrs' own preconfigured converter of each, writing and
reading the same values, in microseconds; and the two fastest alone, on values that are plain
JSON already ("bare"). What each makes of values that JSON has not is printed beside it.
``json_serde`` is measured with its checks, on the same values. Not measured: the first use of a
type, when its codec is made, and the memory that is taken.

    pip install orjson ujson; python benchmarks/bench_serde.py
"""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from rounds import Figure, alternate

from durable_trio.serde import json_serde

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIBRARIES = ("msgspec", "orjson", "ujson", "json")
SECONDS = 0.02


@attrs.frozen
class Item:
    """A medium object: five fields, one of them a list."""

    id: int
    name: str
    price: float
    amount: int
    tags: list[str]


ITEM = Item(1, "a widget", 9.99, 3, ["new", "blue"])
CASES: Mapping[str, tuple[Any, Any]] = {
    "int": (int, 42),
    "str": (str, "hello, world"),
    "dict": (dict[str, Any], {"id": 1, "name": "a widget", "tags": ["new", "blue"]}),
    "attrs object": (Item, ITEM),
    "list of 1,000": (list[Item], [attrs.evolve(ITEM, id=number) for number in range(1_000)]),
}
LONG = b"12345678901234567890123"
STRANGE: Mapping[str, Any] = {
    "NaN": float("nan"),
    "2**64": 2**64,
    "key 1": {1: 2},
    "\\ud800": "\ud800",
}


def converters() -> dict[str, tuple[Callable[[Any, Any], bytes | str], Callable[[Any, Any], Any]]]:
    """The preconfigured converter of each library that is installed."""
    found: dict[str, tuple[Any, Any]] = {}
    for library in LIBRARIES:
        try:
            module = importlib.import_module(f"cattrs.preconf.{library}")
        except ImportError:
            continue

        converter = module.make_converter(detailed_validation=False)
        found[library] = converter.dumps, converter.loads
    return found


def bare() -> dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]]:
    """The two fastest libraries without cattrs, if they are installed."""
    found: dict[str, tuple[Any, Any]] = {
        "msgspec": (msgspec.json.Encoder().encode, msgspec.json.Decoder().decode)
    }
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:
        return found

    return {**found, "orjson": (orjson.dumps, orjson.loads)}


def measure(rounds: int) -> list[Figure]:
    """All figures: for each case and direction, every library and ``json_serde``."""
    figures: list[Figure] = []
    for case, (annotation, value) in CASES.items():
        serde = json_serde(annotation)
        written = serde.serialize(value)
        writing = {f"{case}, writing: json_serde": _timed(serde.serialize, value)}
        reading = {f"{case}, reading: json_serde": _timed(serde.deserialize, written)}
        for library, (dumps, loads) in converters().items():
            writing[f"{case}, writing: {library}"] = _timed(dumps, value, annotation)
            reading[f"{case}, reading: {library}"] = _timed(loads, written, annotation)
        for library, (encode, decode) in bare().items():
            writing[f"{case}, writing: bare {library}"] = _timed(encode, decode(written))
            reading[f"{case}, reading: bare {library}"] = _timed(decode, written)
        for measures in (writing, reading):
            figures += alternate(measures, "us", rounds).values()
    return figures


def faithfulness() -> list[str]:
    """What becomes of values that JSON has not: written and read as if nothing were known."""
    lines: list[str] = []
    for library, (dumps, loads) in converters().items():
        for name, value in STRANGE.items():
            lines.append(f"{library:8} {name:8} {_outcome(dumps, loads, value)}")
        lines.append(f"{library:8} reads {LONG!r} as {loads(LONG, Any)!r}")
    return lines


def _outcome(
    dumps: Callable[[Any, Any], bytes | str], loads: Callable[[Any, Any], Any], value: object
) -> str:
    try:
        text = dumps(value, None)
        return f"{text!r} and back {loads(text, Any)!r}"
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


def _timed(function: Callable[..., object], *args: object) -> Callable[[], float]:
    started = time.perf_counter()
    function(*args)
    function(*args)
    count = max(1, round(SECONDS / ((time.perf_counter() - started) / 2)))
    count = min(count, 20_000)

    def run() -> float:
        begin = time.perf_counter()
        for _ in range(count):
            function(*args)
        return (time.perf_counter() - begin) / count * 1e6

    return run


def main() -> None:
    """Print both tables."""
    for figure in measure(rounds=9):
        print(figure)
    print()
    for line in faithfulness():
        print(line)


if __name__ == "__main__":
    main()

"""What is asked of every pattern among the examples, and what it gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@attrs.frozen
class Case:
    """One call of one handler, and what it gives: a value, or the text of its error."""

    example: str
    handler: str
    argument: Callable[[ModuleType], Any] | None
    expected: Callable[[ModuleType], Any]

    def __str__(self) -> str:
        return f"{self.example}.{self.handler}"


def case(example: str, handler: str, argument: Any = None, expected: Any = None) -> Case:
    """A case; argument and expected value may be functions of the example's module."""

    def function_of(value: Any) -> Callable[[ModuleType], Any]:
        return cast("Callable[[ModuleType], Any]", value) if callable(value) else lambda _: value

    return Case(
        example, handler, None if argument is None else function_of(argument), function_of(expected)
    )


def _invoices(module: ModuleType) -> Any:
    return [module.Invoice(number, number * 100) for number in range(1, 6)]


def _bad_invoices(module: ModuleType) -> Any:
    return [
        module.Invoice(1, 100),
        module.Invoice(2, -1),
        module.Invoice(3, 1),
        module.Invoice(4, -9),
    ]


def _payments(module: ModuleType) -> Any:
    return [module.Payment("ada", 100), module.Payment("bob", 70), module.Payment("ada", 5)]


def _in_time(module: ModuleType) -> Any:
    return module.Job("hello", takes=0.001, patience=60)


def _too_late(module: ModuleType) -> Any:
    return module.Job("hello", takes=60, patience=0.02)


def _page(module: ModuleType) -> Any:
    return module.Page("ada, customer since 2019", ["A-17", "A-42"], "on its way")


def _trip(module: ModuleType) -> Any:
    return module.Trip("clear over Lisbon", 0.92, ["Grand Lisbon", "Hotel Lisbon"])


def _poem(module: ModuleType) -> Any:
    return module.POEM


FOREIGN = re.compile(
    r"ForeignAwaitError: .*foreign_task\.py:\d+: something that is not durable was awaited"
)

CASES = [
    case("parallel_runs", "in_euro", None, {"amsterdam": 41.5, "new york": 42.3, "tokyo": 39.6}),
    case("parallel_runs", "quoted", None, [41.5, 47.0, 6600.0]),
    case("parallel_calls", "page", "ada", _page),
    case("parallel_calls", "header", "ada", "ada, customer since 2019 (2 orders)"),
    case("basic_race", "fastest", None, "package from berlin"),
    case("basic_race", "fastest_mirror", None, "berlin: package from berlin"),
    case("race_with_timeout", "translated", _in_time, "HELLO"),
    case("race_with_timeout", "translated", _too_late, "hello"),
    case("race_with_timeout", "translated_or_error", _in_time, "HELLO"),
    case("race_with_timeout", "translated_or_error", _too_late, "too slow"),
    case("race_with_timeout", "translated_or_timer", _in_time, "HELLO"),
    case("race_with_timeout", "translated_or_timer", _too_late, "the timer won"),
    case("fallback", "title", "book-1", "Middlemarch"),
    case("fallback", "title", "book-2", "Silas Marner (cached)"),
    case("wait_for_all", "everywhere", ["oslo", "rome", "lima"], [4, 19, 22]),
    case("wait_for_all", "everywhere", ["oslo", "atlantis"], re.compile("no station in atlantis")),
    case("wait_for_all", "everywhere_or_nothing", ["oslo", "lima"], [4, 22]),
    case("wait_for_all", "everywhere_or_nothing", ["oslo", "atlantis", "lima"], []),
    case("wait_combinator", "thumbnails", ["cat.png", "dog.png"], "2 thumbnails made"),
    case(
        "wait_combinator",
        "report",
        ["cat.png", "notes.txt"],
        {"cat.png": "made", "notes.txt": "ValueError: notes.txt is no image"},
    ),
    case("fan_out_fan_in", "total", _invoices, 1500),
    case("fan_out_fan_in", "total_or_errors", _invoices, 1500),
    case(
        "fan_out_fan_in",
        "total_or_errors",
        _bad_invoices,
        re.compile("2 failed: invoice 2 is negative, invoice 4 is negative"),
    ),
    case(
        "partial_failures",
        "digest",
        ["gazette", "mirror", "herald"],
        ["Rain again", "Trains on time"],
    ),
    case("partial_failures", "digest", ["mirror"], re.compile("no paper could be fetched")),
    case("partial_failures", "coverage", ["gazette", "mirror", "herald"], "2 of 3 papers"),
    case(
        "map_reduce",
        "top_words",
        _poem,
        [("the", 5), ("rain", 3), ("and", 1)],
    ),
    case("concurrent_object_writes", "pay", _payments, {"ada": 105, "bob": 70}),
    case("concurrent_object_writes", "pay_everybody", 1, [1, 1, 1]),
    case("racing_strategies", "results", None, "fuzzy: teapot, teacup"),
    case("racing_strategies", "any_results", None, ["teapot", "teacup"]),
    case("concurrent_steps", "plan", "Lisbon", _trip),
    case("concurrent_steps", "quick_plan", "Lisbon", _trip),
    case("foreign_task", "wrong", None, FOREIGN),
    case("foreign_task", "right", None, ["A", "B", "C"]),
    case("concurrency_inside_run", "reachable", None, {"/": 4120, "/about": 980, "/blog": 15200}),
]

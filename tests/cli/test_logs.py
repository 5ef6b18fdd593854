"""Records of the log as lines: for people, and as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

from durable_trio._cli._logs import JsonFormatter, TextFormatter


def record(message: str, *arguments: object, **fields: Any) -> logging.LogRecord:
    values = {"name": "app", "levelno": logging.WARNING, "levelname": "WARNING", "created": 1.5}
    return logging.makeLogRecord({**values, "msg": message, "args": arguments, **fields})


def test_json_has_what_was_passed_along() -> None:
    """As fields of their own, written out if they are no JSON."""
    fields = json.loads(JsonFormatter().format(record("took %d s", 3, key="a", odd={1})))

    assert "1970-01-01T00:00:01.500+00:00" == fields["time"]
    assert ("warning", "app", "took 3 s") == (fields["level"], fields["logger"], fields["message"])
    assert ("a", "{1}") == (fields["key"], fields["odd"])
    assert {"exception", "stack"}.isdisjoint(fields)


def test_json_has_the_traceback_and_the_stack_in_one_line() -> None:
    """A record is one line, whatever is in it."""
    try:
        raise ValueError("no")
    except ValueError as error:
        failed = (ValueError, error, error.__traceback__)
    line = JsonFormatter().format(record("failed", exc_info=failed, stack_info="Stack:\n  here"))

    assert "\n" not in line
    fields = json.loads(line)
    assert fields["exception"].endswith("ValueError: no")
    assert "Stack:\n  here" == fields["stack"]


def test_text_ends_with_the_invocation_and_its_branch() -> None:
    """Of what a handler logs; other records have none."""
    formatter = TextFormatter()
    lines = [
        formatter.format(record("done", **fields))
        for fields in ({}, {"invocation_id": "inv_1"}, {"invocation_id": "inv_1", "branch": "a[1]"})
    ]

    assert ["done", "done [inv_1]", "done [inv_1 a[1]]"] == [
        line.partition("app: ")[2] for line in lines
    ]

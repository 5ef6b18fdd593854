"""The SQL: every question of a running invocation is an index lookup."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from durable_trio_file._plan import STATEMENTS, Lane
from durable_trio_file._queries import SQL
from durable_trio_file._schema import TABLES, connect_for_writing

from .journals import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Partial indexes hold exactly the rows that are asked for, so all of them are read.
WHOLE_PARTIAL_INDEX = {"unfinished", "holders", "backlog"}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_for_writing(tmp_path / "a.journal", "off")) as connection:
        yield connection


def steps(connection: sqlite3.Connection, sql: str) -> list[str]:
    values = [None] * sql.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


@pytest.mark.parametrize("question", sorted(SQL))
def test_questions_are_index_lookups(question: str, connection: sqlite3.Connection) -> None:
    """No question scans a table, however many invocations wait."""
    plan = steps(connection, SQL[question])

    if question in WHOLE_PARTIAL_INDEX:
        assert any("USING INDEX invocation_" in step or "COVERING INDEX" in step for step in plan)
    else:
        assert not any(step.startswith("SCAN") for step in plan), plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert not sorts or question in {"waiters", "promise waiters"}


@pytest.mark.parametrize("lane", Lane)
def test_writes_are_index_lookups(lane: Lane, connection: sqlite3.Connection) -> None:
    """No write scans a table, however many rows it changes at once."""
    for _, sql in STATEMENTS[lane]:
        scans = [step for step in steps(connection, sql) if step.startswith("SCAN")]
        assert not [step for step in scans if step.split()[1] in TABLES]


def test_the_tables_can_be_read_by_people(tmp_path: Path) -> None:
    """The sqlite3 shell shows a journal without any help of ours."""
    path = tmp_path / "a.journal"
    fill(path, 2)
    with closing(sqlite3.connect(path)) as shell:
        lines = shell.execute(
            "SELECT line FROM entry WHERE invocation_id = 'inv_a' ORDER BY number"
        ).fetchall()
        status = shell.execute("SELECT id, status FROM invocation").fetchall()
        names = shell.execute("SELECT json_extract(line, '$.command') FROM entry").fetchall()

    assert [
        ('{"command":"run","completion_id":0}',),
        ('{"command":"run","completion_id":1}',),
    ] == lines
    assert [("inv_a", "running")] == status
    assert [("run",), ("run",)] == names

"""The portable form: every entry, both ways, and every way a line can be wrong."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import WorkflowTarget, abc
from durable_trio._exceptions import StoreCorruptError, StoreError, StoreVersionError
from durable_trio._journal._jsonl import (
    JournalHeader,
    dump_entry,
    dump_journal,
    dump_outcome,
    load_entry,
    load_journal,
    load_outcome,
)
from durable_trio._journal._spelling import shape_of

from .strategies import entries, entry_types, instances, outcomes, texts


@pytest.mark.parametrize("cls", entry_types)
def test_every_entry_type_round_trips(cls: type) -> None:
    """Dumping and loading an entry of any type gives the same entry, on one line."""

    @given(instances(cls))
    def check(entry: Any) -> None:
        line = dump_entry(entry)

        assert b"\n" not in line
        assert entry == load_entry(line)
        assert entry == load_entry(line.decode())

    check()


def test_every_entry_type_has_a_form() -> None:
    """The two unions of the vocabulary and the tables of tags name the same types."""
    assert set(abc.Entry.__args__) == set(entry_types)


@given(st.lists(entries, max_size=4), st.builds(JournalHeader, texts, st.none() | texts))
def test_journals_round_trip(journal: list[abc.Entry], header: JournalHeader) -> None:
    """A dumped journal loads with its header and its entries in order."""
    data = dump_journal(journal, header)

    assert (header, tuple(journal)) == load_journal(data)
    assert (header, tuple(journal)) == load_journal(data.decode() + "\n \n")
    assert 1 + len(journal) == data.count(b"\n")


@given(outcomes)
def test_outcomes_round_trip(outcome: abc.Value | abc.Failure) -> None:
    """A result that is stored outside of a journal has the same form as in one."""
    assert outcome == load_outcome(dump_outcome(outcome))


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (abc.Run(1, "hash"), b'{"command":"run","completion_id":1,"name":"hash"}'),
        (abc.Run(1), b'{"command":"run","completion_id":1}'),
        (
            abc.Completion(1, abc.Value(b'{"a":1}')),
            b'{"notification":"completion","completion_id":1,"value":"{\\"a\\":1}"}',
        ),
        (
            abc.Completion(1, abc.Value(b"\xff")),
            b'{"notification":"completion","completion_id":1,"value_base64":"/w=="}',
        ),
        (
            abc.Input(b"\xff", (("a", "b"),)),
            b'{"command":"input","content_base64":"/w==","headers":[["a","b"]]}',
        ),
        (abc.Signal(1, abc.VOID), b'{"notification":"signal","signal":1,"void":true}'),
        (
            abc.Output(abc.Failure(409, "cancelled")),
            b'{"command":"output","failure":{"code":409,"message":"cancelled"}}',
        ),
        (
            abc.Attach(WorkflowTarget("w", "k"), 3),
            b'{"command":"attach","workflow":{"workflow":"w","key":"k"},"completion_id":3}',
        ),
        (
            abc.GetEagerStateKeys(("a",)),
            b'{"command":"get_eager_state_keys","keys":["a"]}',
        ),
    ],
)
def test_lines_are_written_as_documented(entry: abc.Entry, line: bytes) -> None:
    """The form is stable and readable: these lines are in files that people keep."""
    assert line == dump_entry(entry)
    assert entry == load_entry(line)


@pytest.mark.parametrize(
    "entry",
    [
        abc.Run(1, "file \udc80"),
        abc.Completion(1, abc.Failure(500, "cannot read \ud800", (("\udfff", ""),))),
        abc.Sleep(2**70, 1),
    ],
)
def test_odd_text_and_long_integers_survive(entry: abc.Entry) -> None:
    """File names that are no text and times in the far future come back unchanged."""
    assert entry == load_entry(dump_entry(entry))
    assert (JournalHeader(), (entry,)) == load_journal(dump_journal([entry]))


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        ("", StoreCorruptError, "line 7: Expecting value"),
        ('{"command":"run","comple', StoreCorruptError, "line 7: Unterminated string"),
        ("[1]", StoreCorruptError, "expected a JSON object"),
        ("[" * 100_000, StoreCorruptError, "line 7: "),
        ("{}", StoreCorruptError, "expected 'command' or 'notification', found neither"),
        ('{"command":["run"]}', StoreCorruptError, "'command' must be a string"),
        ('{"command":"fly"}', StoreVersionError, "line 7: unknown command 'fly'.*upgrade"),
        ('{"notification":"news"}', StoreVersionError, "unknown notification 'news'"),
        ('{"command":"run"}', StoreCorruptError, "'completion_id' is missing"),
        ('{"command":"run","completion_id":true}', StoreCorruptError, "must be an integer"),
        ('{"command":"run","completion_id":1.5}', StoreCorruptError, "must be an integer"),
        ('{"command":"run","completion_id":1,"name":null}', StoreCorruptError, "'name' must be"),
        ('{"command":"run","completion_id":1,"x":0}', StoreVersionError, "unknown field 'x'"),
        ('{"command":"input","content":3}', StoreCorruptError, "'content' must be a string"),
        ('{"command":"input","content_base64":"?"}', StoreCorruptError, "must be Base64"),
        ('{"command":"input","content_base64":3}', StoreCorruptError, "must be Base64"),
        (
            '{"command":"input","content":"","content_base64":""}',
            StoreVersionError,
            "unknown field 'content_base64'",
        ),
        ('{"command":"input","content":"","headers":[["a"]]}', StoreCorruptError, "pairs"),
        ('{"command":"input","content":"","headers":{}}', StoreCorruptError, "pairs"),
        ('{"command":"get_eager_state_keys","keys":[1]}', StoreCorruptError, "list of strings"),
        ('{"command":"get_eager_state_keys"}', StoreCorruptError, "'keys' is missing"),
        ('{"command":"output"}', StoreCorruptError, "'result' is missing"),
        ('{"command":"output","void":true}', StoreVersionError, "unknown field 'void'"),
        ('{"command":"output","failure":"no"}', StoreCorruptError, "must be an object"),
        ('{"command":"output","failure":{"code":1}}', StoreCorruptError, "'message' is missing"),
        (
            '{"notification":"signal","signal":1,"void":1}',
            StoreCorruptError,
            "'void' must be true",
        ),
    ],
)
def test_wrong_lines_say_what_is_wrong(line: str, error: type[StoreError], text: str) -> None:
    """A line that this version cannot have written is an error with the line and the remedy."""
    with pytest.raises(error, match=text) as caught:
        load_entry(line, 7)

    assert type(caught.value) is error
    with pytest.raises(error):
        load_entry(line.encode(), 7)


@pytest.mark.parametrize(
    ("header", "error", "text"),
    [
        ("", StoreCorruptError, "line 1: Expecting value"),
        ('{"command":"run","completion_id":1}', StoreCorruptError, "expected a header"),
        ('{"format":"durable_trio journal"}', StoreCorruptError, "'version' must be"),
        ('{"format":"durable_trio journal","version":0}', StoreCorruptError, "'version' must be"),
        ('{"format":"durable_trio journal","version":2}', StoreVersionError, "upgrade"),
        ('{"format":"durable_trio journal","version":1,"x":1}', StoreVersionError, "unknown"),
    ],
)
def test_wrong_headers_say_what_is_wrong(header: str, error: type[StoreError], text: str) -> None:
    """A file that is no journal, or a newer one, is refused at its first line."""
    with pytest.raises(error, match=text):
        load_journal(header + "\n")


def test_a_cut_off_journal_names_the_line() -> None:
    """The last line of a truncated journal is reported by its number."""
    data = dump_journal([abc.Run(1, "a"), abc.Run(2, "b")])

    with pytest.raises(StoreCorruptError, match="line 3: "):
        load_journal(data[:-5])


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("[]", StoreCorruptError),
        ("{}", StoreCorruptError),
        ('{"value":"","x":1}', StoreVersionError),
    ],
)
def test_wrong_outcomes_are_refused(line: str, error: type[StoreError]) -> None:
    """A stored result is read as strictly as an entry."""
    with pytest.raises(error):
        load_outcome(line)


@given(st.text(max_size=30) | st.from_regex(r'\{"(command|notification)":"[a-z_]+",.*\}'))
def test_garbage_never_leaves_the_error_tree(line: str) -> None:
    """Whatever a line contains, it is an entry or a StoreError."""
    try:
        entry = load_entry(line)
    except StoreError:
        return

    assert json.loads(line) == json.loads(dump_entry(entry))


def test_a_field_of_a_new_kind_fails_at_import() -> None:
    """An annotation without a spelling is found when the module is loaded, not in production."""

    @attrs.frozen
    class New:
        when: complex

    with pytest.raises(KeyError, match="complex"):
        shape_of(New)

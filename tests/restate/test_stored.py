"""Rows of a server's tables as entries and headers, and what its ids say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import StoreCorruptError, StoreVersionError, UsageError
from durable_trio._invocation import seed_of
from durable_trio.abc import (
    VOID,
    Attach,
    Completion,
    GetState,
    InvocationTarget,
    Run,
    Signal,
    Value,
)
from durable_trio_restate._entries import COMMANDS, encode_command, encode_notification
from durable_trio_restate._ids import random_seed, raw_id
from durable_trio_restate._stored import COMMAND_TYPES, entry_of, header_of

# As a server of version 1.7.12 gave them: an id, its bytes in an awakeable's id, and a seed.
ID = "inv_10T5Thwsbi8d1xmsKcW4bVQu3x9FchpNvk"
RAW = bytes.fromhex("6dcec853edb4590ae2e1097f1f242787b7bf4cf661858932")
SEED = 1061009444730608037


def row(raw: bytes, kind: str, **fields: Any) -> dict[str, Any]:
    """What the server answers with."""
    return {"index": 3, "entry_type": kind, "version": 2, "raw": raw.hex(), **fields}


def test_every_command_has_a_kind() -> None:
    """The table has the message types of all commands, each once."""
    types = [type_ for type_, _ in COMMANDS.values()]

    assert sorted(types) == sorted(COMMAND_TYPES.values())


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (Run(7, "pack"), "Command: Run"),
        (GetState("total", 1), "Command: GetLazyState"),
        (Attach(InvocationTarget("inv_1"), 2), "Command: AttachInvocation"),
    ],
)
def test_commands_are_their_messages(entry: Any, kind: str) -> None:
    """Named as the server names them."""
    assert entry == entry_of(row(encode_command(entry)[8:], kind))


@pytest.mark.parametrize("entry", [Completion(7, Value(b"1")), Signal("hello", VOID)])
def test_notifications_are_their_messages(entry: Any) -> None:
    """Whatever they answer."""
    assert entry == entry_of(row(encode_notification(entry)[8:], "Notification: Whatever"))


@pytest.mark.parametrize("kind", ["Command: Dance", "Event: Paused", "Input", "None"])
def test_an_unknown_kind_is_a_newer_servers(kind: str) -> None:
    """It is named, with its place."""
    with pytest.raises(StoreVersionError, match=rf"entry 3 \({kind}\).*upgrade"):
        entry_of(row(b"", kind))


@pytest.mark.parametrize("version", [1, 3, None])
def test_another_storage_is_told(version: int | None) -> None:
    """Its bytes are something else."""
    with pytest.raises(StoreVersionError, match=f"version {version}.*expected 2"):
        entry_of(row(b"", "Command: Run", version=version))


@pytest.mark.parametrize(
    ("kind", "raw"), [("Command: Run", "5"), ("Command: Run", "58"), ("Notification: Run", "")]
)
def test_damaged_bytes_are_told(kind: str, raw: str) -> None:
    """With the place of the entry."""
    with pytest.raises(StoreCorruptError, match=r"entry 3 .*cannot be decoded"):
        entry_of(row(b"", kind) | {"raw": raw})


def test_an_empty_entry_has_no_bytes() -> None:
    """A server leaves a column out that is empty."""
    assert Run(0) == entry_of({"index": 3, "entry_type": "Command: Run", "version": 2})


def test_the_bytes_of_an_id() -> None:
    """Those of which the server's awakeable ids are made."""
    assert RAW == raw_id(ID)


def test_the_seed_of_an_id() -> None:
    """The server's own from version 6 on, the endpoint's before."""
    assert SEED == random_seed(RAW, 6) == random_seed(RAW, 7)
    assert seed_of(RAW) == random_seed(RAW, 5)


@pytest.mark.parametrize("text", ["", "inv_1", ID[:-1], f"{ID}0", f"inv_1{'Z' * 33}", "x" + ID])
def test_another_text_is_no_id(text: str) -> None:
    """Before it is put into any question."""
    with pytest.raises(UsageError, match="is no invocation id of a Restate server"):
        raw_id(text)


@given(st.text())
def test_any_text_is_refused_in_the_same_way(text: str) -> None:
    """Whatever it holds."""
    with pytest.raises(UsageError):
        raw_id(text)


def test_the_header_says_what_a_handler_is_told() -> None:
    """Not the idempotency key, which the server keeps for itself."""
    found = {
        "id": ID,
        "target_service_name": "Parcels",
        "target_handler_name": "ship",
        "target_service_key": "k",
        "pinned_service_protocol_version": 6,
        "idempotency_key": "once",
    }
    header = header_of(found, seeds_are_drawn=False)

    assert ("Parcels", "ship", "k") == (header.service, header.handler, header.key)
    assert (RAW, SEED, None) == (header.raw_id, header.random_seed, header.idempotency_key)
    assert header_of(found, seeds_are_drawn=True).random_seed is None

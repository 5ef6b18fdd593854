"""Counter, ListObject and MapObject: state, read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.restate.server import RestateServer


def test_a_counter_adds(restate: RestateServer) -> None:
    """It answers with the values before and after; integers have 64 bits and a sign."""
    big = 2**62

    assert restate.call("Counter/adds/get") == 0
    assert restate.call("Counter/adds/add", 3) == {"oldValue": 0, "newValue": 3}
    assert restate.call("Counter/adds/add", -5) == {"oldValue": 3, "newValue": -2}
    assert restate.call("Counter/adds/add", big) == {"oldValue": -2, "newValue": big - 2}
    assert restate.call("Counter/adds/get") == big - 2


def test_a_counter_is_reset(restate: RestateServer) -> None:
    """The entry is gone, and an answer without content is empty."""
    restate.call("Counter/resets/add", 1)

    assert restate.post("Counter/resets/reset").content in {b"", b"null"}
    assert restate.call("Counter/resets/get") == 0
    assert [] == restate.query("SELECT * FROM state WHERE service_key = 'resets'")


def test_what_was_written_before_an_error_stays_written(restate: RestateServer) -> None:
    """The terminal error names the key, and undoes nothing."""
    failed = restate.post("Counter/a name/addThenFail", 2)

    assert failed.status_code == 500
    assert "a name" in failed.json()["message"]
    assert restate.call("Counter/a name/get") == 2


@pytest.mark.parametrize("body", ["3", 1.5, None, [], {"value": 3}])
def test_input_that_does_not_fit_is_refused(restate: RestateServer, body: object) -> None:
    """It is a terminal error, 400, without another attempt."""
    refused = restate.post("Counter/refuses/add", body)

    assert refused.status_code == 400
    assert restate.call("Counter/refuses/get") == 0


def test_input_that_is_no_json_is_refused(restate: RestateServer) -> None:
    """As one of the wrong type."""
    refused = restate.ingress.post(
        "/Counter/refuses/add", content=b"{3", headers={"content-type": "application/json"}
    )

    assert refused.status_code == 400


def test_keys_are_text(restate: RestateServer) -> None:
    """A key may hold anything that a path can carry, percent-encoded."""
    restate.call("Counter/a%2Fb%20%C3%A9%3F/add", 4)

    assert restate.call("Counter/a%2Fb%20%C3%A9%3F/get") == 4
    rows = restate.query("SELECT value_utf8 FROM state WHERE service_key = 'a/b é?'")
    assert rows == [{"value_utf8": "4"}]


def test_state_is_json_under_the_names_of_the_contract(restate: RestateServer) -> None:
    """Others read the entries too."""
    restate.call("Counter/names/add", 1)
    restate.call("ListObject/names/append", "é")
    restate.call("MapObject/names/set", {"key": "a", "value": "b"})
    restate.call("AwakeableHolder/names/hold", "an id")
    rows = restate.query("SELECT key, value_utf8 FROM state WHERE service_key = 'names'")

    assert {row["key"]: row["value_utf8"] for row in rows} == {
        "counter": "1",
        "list": '["é"]',
        "a": '"b"',
        "id": '"an id"',
    }


def test_a_list_is_appended_to_and_cleared(restate: RestateServer) -> None:
    """Clearing answers with what was there."""
    assert restate.call("ListObject/a/get") == []
    for text in ("one", "", "zwölf"):
        restate.call("ListObject/a/append", text)

    assert restate.call("ListObject/a/get") == ["one", "", "zwölf"]
    assert restate.call("ListObject/a/clear") == ["one", "", "zwölf"]
    assert restate.call("ListObject/a/get") == []
    assert restate.call("ListObject/a/clear") == []


def test_a_map_has_an_entry_per_key(restate: RestateServer) -> None:
    """A key that is missing gives an empty string; clearing answers with all entries."""
    entries = [{"key": f"key {index}", "value": f"v{index}"} for index in range(5)]
    for entry in entries:
        restate.call("MapObject/a/set", entry | {"unknown": "field"})
    restate.call("MapObject/a/set", {"key": "key 0", "value": "v0"})

    assert restate.call("MapObject/a/get", "key 3") == "v3"
    assert restate.call("MapObject/a/get", "no such key") == ""
    cleared = restate.call("MapObject/a/clearAll")
    assert sorted(cleared, key=lambda entry: str(entry["key"])) == entries
    assert restate.call("MapObject/a/get", "key 3") == ""
    assert restate.call("MapObject/a/clearAll") == []

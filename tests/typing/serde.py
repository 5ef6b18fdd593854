"""Only type-checked: a serde knows the type of its values.

Every line that must be an error carries an ignore comment, and an ignore comment without
an error is an error itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, assert_type

import attrs

from durable_trio.serde import Serde, bytes_serde, json_schema, json_serde, serde_for


@attrs.frozen
class Report:
    title: str


class Shouting:
    content_type = "text/plain"

    def serialize(self, value: str) -> bytes:
        return value.upper().encode()

    def deserialize(self, data: bytes) -> str:
        return data.decode()


assert_type(json_serde(Report), Serde[Report])
assert_type(json_serde(list[Report]), Serde[list[Report]])
assert_type(json_serde(None), Serde[None])
assert_type(json_serde(int | None), Serde[Any])
assert_type(json_serde(Annotated[int, "x"]), Serde[Any])
assert_type(json_serde(dt.date).deserialize(b""), dt.date)
assert_type(bytes_serde, Serde[bytes])
assert_type(serde_for(Report), Serde[Report])
assert_type(serde_for(Shouting()), Serde[str])
assert_type(json_schema(Report), dict[str, Any])

shouting: Serde[str] = Shouting()
json_serde(Report).serialize(1)  # type: ignore[arg-type]
wrong: Serde[int] = Shouting()  # type: ignore[assignment]

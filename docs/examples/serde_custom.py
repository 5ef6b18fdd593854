"""For the page on serialization: a type with a serde of its own."""

import zlib
from typing import Annotated

import attrs

from durable_trio import SerializationError
from durable_trio.serde import json_serde, serde_for


class CompressedText:
    """Any object with these three members is a serde."""

    content_type = "application/zlib"

    def serialize(self, value: str) -> bytes:
        return zlib.compress(value.encode())

    def deserialize(self, data: bytes) -> str:
        try:
            return zlib.decompress(data).decode()
        except (zlib.error, UnicodeDecodeError) as exc:
            raise SerializationError(f"expected compressed text: {exc}") from exc


Log = Annotated[str, CompressedText()]


@attrs.frozen
class Result:
    exit_code: int
    log: Log


def main() -> None:
    log = "the same line\n" * 100
    alone = serde_for(Log).serialize(log)
    inside = json_serde(Result).serialize(Result(0, log))
    assert serde_for(Log).deserialize(alone) == log
    assert json_serde(Result).deserialize(inside) == Result(0, log)
    assert len(alone) < len(inside) < len(log)


if __name__ == "__main__":
    main()

"""For the page on serialization: what does not fit is named."""

from typing import Any

import attrs

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_serde


@attrs.frozen
class Item:
    name: str
    price: float


def reading() -> None:
    json_serde(list[Item]).deserialize(b'[{"name": "tea", "price": 4.5}, {"price": "abc"}]')


def writing() -> None:
    json_serde(dict[str, Any]).serialize({"point": (1, 2)})


def defining() -> None:
    json_serde(str | bytes)


def main() -> None:
    for fails in (reading, writing, defining):
        try:
            fails()
        except (SerializationError, DefinitionError) as error:
            print(f"{fails.__name__}: {error}")


if __name__ == "__main__":
    main()

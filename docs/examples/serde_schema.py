"""For the page on serialization: the JSON Schema of a type."""

import json
from typing import NotRequired, TypedDict

from durable_trio.serde import json_schema


class Order(TypedDict):
    """What was ordered."""

    id: int
    items: list[str]
    note: NotRequired[str]


def main() -> None:
    print(json.dumps(json_schema(Order)))


if __name__ == "__main__":
    main()

"""For the page on serialization: values of annotated types, written and read."""

import datetime as dt
from enum import Enum
from typing import Literal

import attrs

from durable_trio.serde import json_serde


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Parcel:
    weight: float
    size: Size = Size.SMALL
    kind: Literal["parcel"] = "parcel"


@attrs.frozen
class Letter:
    pages: int
    kind: Literal["letter"] = "letter"


@attrs.frozen
class Shipment:
    items: list[Parcel | Letter]
    tags: set[str]
    due: dt.date | None = None


SHIPMENT = Shipment([Parcel(1.5), Letter(2)], {"fragile", "express"}, dt.date(2030, 1, 31))


def main() -> None:
    serde = json_serde(Shipment)
    written = serde.serialize(SHIPMENT)
    print(written.decode())
    assert serde.deserialize(written) == SHIPMENT


if __name__ == "__main__":
    main()

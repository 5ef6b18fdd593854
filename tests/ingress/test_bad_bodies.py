"""Bodies that are no JSON, or not what the handler takes."""

from __future__ import annotations

import re

import anyio
import attrs
import pytest

from durable_trio import Context, Service

from .served import serving

NESTED = 100_000


@attrs.frozen
class Line:
    article: str
    amount: int
    price: float = 1.0


@attrs.frozen
class Order:
    customer: str
    lines: list[Line]


def orders() -> Service:
    service = Service("Orders")

    @service.handler
    async def place(ctx: Context, order: Order) -> str:
        return order.customer

    return service


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"lines": []}', r"missing field \$\.customer$", id="a missing field"),
        pytest.param(
            b'{"customer": "a", "lines": [{"article": "x"}]}',
            r"missing field \$\.lines\[0\]\.amount$",
            id="a missing field of a nested object",
        ),
        pytest.param(
            b'{"customer": 7, "lines": []}',
            r"expected str at \$\.customer, found 7$",
            id="another type",
        ),
        pytest.param(
            b'{"customer": "a", "lines": [{"article": "x", "amount": 1}, '
            b'{"article": "y", "amount": "two"}]}',
            r'expected int at \$\.lines\[1\]\.amount, found "two"$',
            id="another type in a nested object",
        ),
        pytest.param(
            b'{"customer": "a", "lines": {}}',
            r"expected list\[Line\] at \$\.lines, found an empty object$",
            id="an object for an array",
        ),
        pytest.param(b"[]", r"expected Order at \$, found an array of 0$", id="another document"),
        pytest.param(b"null", r"expected Order at \$, found null$", id="null"),
        pytest.param(
            b'{"customer": "a", "lines": [{"article": "x", "amount": 1, "price": NaN}]}',
            r"malformed: .*\(byte 67\)",
            id="a float that is NaN",
        ),
        pytest.param(
            b'{"customer": "a", "lines": [{"article": "x", "amount": NaN}]}',
            r"malformed: .*\(byte 55\)",
            id="an integer that is NaN",
        ),
        pytest.param(
            b'{"customer": "\xff", "lines": []}', r"invalid UTF-8 at byte 14", id="no UTF-8"
        ),
        pytest.param(
            b'{"customer": "\\ud800", "lines": []}',
            r"malformed: .*surrogate.*\(byte 20\)",
            id="half a surrogate pair",
        ),
        pytest.param(
            b"[" * NESTED + b"]" * NESTED, r"nested too deeply", id="endlessly nested arrays"
        ),
        pytest.param(b'{"customer":' * NESTED, r"nested too deeply", id="endlessly nested objects"),
        pytest.param(
            b'{"customer": "a", "lines": []} x',
            r"extra data at line 1, column 32, found 'x'",
            id="something behind the document",
        ),
        pytest.param(
            b'{"customer": "a", "lines": [',
            r"at line 1, column 29, found its end",
            id="a document that is cut off",
        ),
        pytest.param(b"", r"Orders/place takes one input, order: .*Order, .*empty", id="nothing"),
        pytest.param(b" ", r"at line 1, column 2, found its end", id="only a blank"),
    ],
)
def test_a_body_that_does_not_fit_is_answered_with_the_place(
    backend: str, body: bytes, message: str
) -> None:
    """A short 400 that names the path or the byte; a call and a send of it journal nothing."""

    async def main() -> None:
        async with serving(orders()) as served:
            answers = [
                await served.client.post(
                    path, content=body, headers={"content-type": "application/json"}
                )
                for path in ("/Orders/place", "/Orders/place/send")
            ]
            kept = await served.store.invocations()
            fitting = await served.client.post(
                "/Orders/place", json={"customer": "a", "lines": [{"article": "x", "amount": 1}]}
            )

        assert [400, 400] == [answer.status_code for answer in answers]
        for answer in answers:
            told = answer.json()["message"]
            assert told.startswith(("the input of Orders/place does not fit", "Orders/place takes"))
            assert re.search(message, told)
            assert len(told) < 250
        assert [] == list(kept)
        assert "a" == fitting.json()

    anyio.run(main, backend=backend)

"""Invocation ids of a Restate server: their bytes, and the random seed that follows from them.

Owns both derivations. A server tells them to an endpoint when it starts an attempt, and to
nobody else; whoever reads a journal from outside has to derive them.

 1. The text is ``inv_1`` and 33 digits of base 62: 11 for the partition key (8 bytes) and 22
    for what is unique (16 bytes), both little-endian.
 2. From version 6 of the protocol on the seed is the id's hash by SipHash-1-3 with an empty
    key, as Rust's default hasher computes it of a slice; before it was cut from a SHA-256.
    A server with the feature ``unique_random_seeds`` draws it, and it is not known.
"""

from __future__ import annotations

import re
from typing import Final

from durable_trio._exceptions import UsageError
from durable_trio._invocation import seed_of

_ID: Final = re.compile(r"inv_1([0-9a-zA-Z]{11})([0-9a-zA-Z]{22})")
_DIGITS: Final = {
    digit: value
    for value, digit in enumerate("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
_HASHED_SINCE: Final = 6
_MASK: Final = (1 << 64) - 1


def raw_id(invocation_id: str) -> bytes:
    """The 24 bytes of an id. ``UsageError`` if the text is none of a Restate server's."""
    match = _ID.fullmatch(invocation_id)
    try:
        if match is not None:
            return _number(match[1]).to_bytes(8, "little") + _number(match[2]).to_bytes(
                16, "little"
            )
    except OverflowError:
        pass
    raise UsageError(
        f"{invocation_id!r} is no invocation id of a Restate server: it is 'inv_1' and 33 letters "
        "and digits, as the server and its UI show it"
    )


def random_seed(raw: bytes, protocol: int) -> int:
    """The seed of an invocation, by its id and the version of the protocol it speaks."""
    return _siphash_1_3(raw) if protocol >= _HASHED_SINCE else seed_of(raw)


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + _DIGITS[digit]
    return number


def _siphash_1_3(slice_: bytes) -> int:
    # Of a slice the length is hashed too, in front.
    data = len(slice_).to_bytes(8, "little") + slice_
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    state = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    for word in words:
        a, b, c, d = _round(state[0], state[1], state[2], state[3] ^ word)
        state = (a ^ word, b, c, d)
    state = (state[0], state[1], state[2] ^ 0xFF, state[3])
    for _ in range(3):
        state = _round(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _MASK
    b = _rotated(b, 13) ^ a
    a = _rotated(a, 32)
    c = (c + d) & _MASK
    d = _rotated(d, 16) ^ c
    a = (a + d) & _MASK
    d = _rotated(d, 21) ^ a
    c = (c + b) & _MASK
    b = _rotated(b, 17) ^ c
    return a, b, _rotated(c, 32), d


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK

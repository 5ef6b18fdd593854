"""Frames: put together from pieces of any size, refused if they are too large."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio_restate import ProtocolError
from durable_trio_restate._frames import Frame, FrameBuffer, encode_frame

_FRAMES = st.lists(
    st.builds(Frame, st.integers(0, 0xFFFF), st.sampled_from([0, 0x8000]), st.binary(max_size=40))
)


@given(_FRAMES, st.data())
def test_frames_may_be_split_anywhere(frames: list[Frame], data: st.DataObject) -> None:
    """However the bytes are cut into pieces, the same frames come out, in order."""
    stream = b"".join(encode_frame(frame.type, frame.payload, frame.flags) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    buffer = FrameBuffer()
    found: list[Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer.feed(stream[start:end])
        while (frame := buffer.next()) is not None:
            found.append(frame)

    assert found == frames
    assert buffer.is_empty


def test_half_a_frame_is_no_frame() -> None:
    """A frame is handed out only when all of it is there."""
    buffer = FrameBuffer()
    buffer.feed(encode_frame(3, b"ab")[:-1])

    assert buffer.next() is None
    assert not buffer.is_empty


def test_a_frame_of_the_largest_size() -> None:
    """The limit itself is allowed."""
    buffer = FrameBuffer(max_size=2)
    buffer.feed(encode_frame(3, b"ab"))

    assert buffer.next() == Frame(3, 0, b"ab")


@pytest.mark.parametrize("piece", [1, 2, 700])
def test_small_pieces_take_little_memory(piece: int) -> None:
    """Whoever sends a large frame a few bytes at a time costs no more than its size."""
    frame = encode_frame(0x0400, bytes(30_000))
    buffer = FrameBuffer()
    starts = range(0, len(frame) - piece, piece)
    tracemalloc.start()
    try:
        for start in starts:
            buffer.feed(frame[start : start + piece])
            assert buffer.next() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 3 * len(frame) > peak


def test_an_oversized_frame_is_refused_by_its_header() -> None:
    """What announces more than the limit is refused before it arrives, with the remedy."""
    buffer = FrameBuffer(max_size=2)
    buffer.feed(encode_frame(3, b"abc")[:8])

    with pytest.raises(ProtocolError, match="limit of 2; raise max_message_size") as caught:
        buffer.next()
    assert caught.value.code == 400

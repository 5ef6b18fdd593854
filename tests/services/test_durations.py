"""Durations as callers give them and as they are kept."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._duration import to_seconds
from durable_trio._exceptions import DefinitionError, UsageError


@given(st.floats(min_value=0, allow_infinity=False))
def test_seconds_stay_seconds(length: float) -> None:
    """A number of seconds is taken as it is."""
    assert to_seconds(length, "the timeout") == length


def test_a_timedelta_becomes_seconds() -> None:
    """Hours and minutes are counted in seconds."""
    assert to_seconds(timedelta(hours=1, milliseconds=500), "the timeout") == 3600.5


@pytest.mark.parametrize("value", [-1, -0.1, math.inf, math.nan, timedelta(-1), "1s", None, True])
def test_what_is_no_duration_is_a_usage_error(value: Any) -> None:
    """The error says what was meant, what it must be, and what it was."""
    with pytest.raises(UsageError, match=r"^the timeout must be .* got ") as caught:
        to_seconds(value, "the timeout")

    assert repr(value) in str(caught.value)
    assert not isinstance(caught.value, DefinitionError)

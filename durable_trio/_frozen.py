"""``frozen``: immutable to the type checkers, at no price at run time.

Owns the decorator of the values that are made most: entries and messages. attrs makes a frozen
object with a call for each of its attributes, two to three times as dear as an ordinary one, and
a replay makes four of them for each step.

 1. Nobody changes them all the same: both type checkers refuse it, everywhere in this project.
 2. Values that users get are made with ``attrs.frozen`` itself: they may check nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen as frozen
else:
    frozen = partial(attrs.define, unsafe_hash=True)

"""The answer of a look at something that is not there yet.

Owns ``NOT_READY``, which is not None: a result may well be None.
"""

from __future__ import annotations

import enum
from typing import Final


class NotReady(enum.Enum):
    """The type of ``NOT_READY``."""

    NOT_READY = "not ready"


NOT_READY: Final = NotReady.NOT_READY
"""What ``peek`` and ``output`` give while there is no result."""

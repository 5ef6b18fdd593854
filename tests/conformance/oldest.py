"""The services of the contract by an endpoint that speaks no newer protocol than version 5.

A server takes the newest version that both speak, and none of them can be told to take this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio_restate import _manifest

if TYPE_CHECKING:
    from .services import main
else:
    from services import main

if __name__ == "__main__":
    _manifest.MAX_PROTOCOL = 5  # type: ignore[attr-defined]
    main()

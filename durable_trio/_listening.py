"""What helps where an address cannot be listened on.

Owns the advice, for whoever listens: the ingress, and the adapters' servers.
"""

from __future__ import annotations

import errno
from typing import Final

_ANOTHER_PORT: Final = "Choose another port (0: any free one) or stop who has it."
_REMEDIES: Final = {
    errno.EADDRNOTAVAIL: "Choose an address of this machine.",
    errno.EACCES: "Choose a port from 1024 on: the lower ones are the system's.",
}


def another_address(exc: Exception) -> str:
    """What to do about what the operating system says; mostly somebody else has the port."""
    return _REMEDIES.get(getattr(exc, "errno", 0), _ANOTHER_PORT)

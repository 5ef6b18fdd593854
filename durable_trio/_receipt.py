"""What a send from outside of any invocation gives back.

Owns ``SendReceipt``, the same from every ingress.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class SendReceipt:
    """What a send gives back at once.

    ``previously_accepted``: the idempotency or workflow key was used before, and this is
    the invocation that it named. ``execution_time``: when it starts, in epoch seconds,
    if that is not at once.
    """

    invocation_id: str
    previously_accepted: bool = False
    execution_time: float | None = None

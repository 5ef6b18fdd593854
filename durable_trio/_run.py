"""What the body of a run may know about itself.

Owns the value. Bodies are executed by ``_bodies.py``, which makes one for each try.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class RunInfo:
    """One try of a run's body: what ``current_run()`` and ``run_contexts`` get.

    The name, the invocation and the idempotency key are the same in every try, also after
    a crash and on another machine.
    """

    name: str
    """The run's name, with the path of its branch: ``download[3]/fetch``."""
    number: int
    """The number of the run within the invocation: its completion id."""
    invocation_id: str
    """The invocation that it belongs to."""
    service: str
    """The invocation's service."""
    handler: str
    """The invocation's handler."""
    key: str
    """The key of the object or workflow; empty for a service."""
    attempt: int
    """The number of this try, from 1. A process that died in a try has not counted it: a body
    that is tried for the first time may have been at work before."""

    @property
    def idempotency_key(self) -> str:
        """Names the effect of this run, and no other, in every try: at most 255 characters of ASCII.

        Send it along (``Idempotency-Key``), so that the other side recognises a second try.
        """
        return f"{self.invocation_id}-{self.number}"

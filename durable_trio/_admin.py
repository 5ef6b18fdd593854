"""What an operator does to invocations, wherever they run.

Owns ``Admin``, the port. ``LocalRuntime`` is one for itself, ``durable_trio.client.AdminClient`` for
a server.
"""

from __future__ import annotations

from typing import Protocol


class Admin(Protocol):
    """Operations on one invocation by its id: ``LocalRuntime`` and ``AdminClient`` are both.

    For an id that is unknown they raise ``TerminalError`` 404. An operation that an invocation's
    status forbids is a ``UsageError`` in the runtime's own process, a ``RefusedError`` 409 from
    a server.
    """

    async def cancel(self, invocation_id: str) -> None:
        """Ask an invocation to end: its handler unwinds, and it ends with 409 "cancelled".

        One that has not started ends at once, and a Restate server forgets it; one that
        has completed is left alone.
        """
        ...

    async def kill(self, invocation_id: str) -> None:
        """End an invocation with 409 "killed", without asking its handler, and all that it called.

        One that has completed is left alone.
        """
        ...

    async def pause(self, invocation_id: str) -> None:
        """Stop attempting an invocation until it is resumed."""
        ...

    async def resume(self, invocation_id: str) -> None:
        """Attempt an invocation now that is paused or backs off; its retries start anew."""
        ...

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation; a workflow's with the state and promises of its key."""
        ...

"""What a handler may know about its own invocation.

Owns the values ``ctx.request`` and ``ctx.log`` give out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from ._attempt import Attempt


@attrs.frozen
class Request:
    """The invocation, as its caller made it. The attempt's own fields differ between attempts."""

    id: str
    """The invocation id, the same in every attempt."""
    service: str
    """The service's name."""
    handler: str
    """The handler's name."""
    key: str
    """The key of the object or workflow; empty for a service."""
    headers: Mapping[str, str]
    """The invocation's headers, as the caller sent them."""
    body: bytes
    """The input, undecoded."""
    idempotency_key: str | None
    """The key that the caller made it with, if any."""
    attempt: int
    """The number of this attempt, from 1. Not for decisions: it differs on replay."""
    attempt_headers: Mapping[str, str]
    """Headers of this attempt's own request (tracing). Not for decisions."""
    scope: str | None = None
    """The scope it runs in, on a Restate server that has them."""
    limit_key: str | None = None
    """The limit key it counts for, on a Restate server that has them."""


class ReplayAwareLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs as usual, but is silent while the branch that logs replays its own commands."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(logging.getLogger(f"durable_trio.handler.{attempt.start.service}"))
        self._attempt = attempt

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the standard library's name
        """Whether a message would be shown now."""
        if not self.logger.isEnabledFor(level):
            return False

        running = self._attempt.scheduler.running
        return running is None or not self._attempt.branch_replays(running.path)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the invocation and the branch to the record's ``extra``."""
        running = self._attempt.scheduler.running
        extra: dict[str, Any] = {
            "invocation_id": self._attempt.start.invocation_id,
            "branch": running.path if running is not None else "",
            **(kwargs.get("extra") or {}),
        }
        return msg, {**kwargs, "extra": extra}

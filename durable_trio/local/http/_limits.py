"""What a client may use of an ingress before it is refused or left.

Owns the numbers and what they mean. Sizes are bytes, times are seconds.

 1. Every wait for a client has an end. Waiting for an invocation has none.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from durable_trio._exceptions import UsageError

_MIB: Final = 1024 * 1024


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value > 0:
        raise UsageError(f"{type(instance).__name__}: {attribute.name} must be > 0, got {value!r}")


@attrs.frozen
class Limits:
    """What a client may use of an ``HttpIngress`` before it is refused or left.

    Sizes are bytes, times are seconds. The defaults suit a service on one machine.
    """

    max_connections: int = attrs.field(default=1_000, validator=_positive)
    """At once. One more takes the place of the longest idle one, or is answered 503."""
    max_head_size: int = attrs.field(default=32 * 1024, validator=_positive)
    """Of the request line and the headers; more is answered 431."""
    max_body_size: int = attrs.field(default=32 * _MIB, validator=_positive)
    """More is answered 413."""
    idle_timeout: float = attrs.field(default=60.0, validator=_positive)
    """Between two requests; then the connection is closed."""
    head_timeout: float = attrs.field(default=10.0, validator=_positive)
    """From the first byte of a request to the end of its headers; then 408."""
    body_timeout: float = attrs.field(default=30.0, validator=_positive)
    """For a body that makes no progress; then 408."""
    min_body_rate: float = attrs.field(default=16 * 1024.0, validator=_positive)
    """Bytes a second, on average, that a body must make beyond ``body_timeout``."""
    send_timeout: float = attrs.field(default=30.0, validator=_positive)
    """For a client that does not read its answer; then the connection is closed."""
    half_closed_timeout: float = attrs.field(default=5.0, validator=_positive)
    """For the answer to a client that sends no more; then it is taken for gone."""
    linger_timeout: float = attrs.field(default=2.0, validator=_positive)
    """For reading on after a refusal, so that the client gets to see it."""
    stop_timeout: float = attrs.field(default=5.0, validator=_positive)
    """For the answers that are under way when the ingress is closed."""

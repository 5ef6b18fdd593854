"""What goes wrong between a Restate server and this endpoint.

Owns the errors that only this adapter raises, and the codes of the protocol. They are
leaves of the tree in ``durable_trio._exceptions``.
"""

from __future__ import annotations

from typing import Final

from durable_trio._exceptions import DurableTrioError, UsageError

BAD_REQUEST: Final = 400
INTERNAL: Final = 500
PROTOCOL_VIOLATION: Final = 571
UNSUPPORTED_FEATURE: Final = 573


REMEDY: Final = (
    "Whatever stands between server and endpoint has to pass bytes on as they are; if nothing does, "
    "use versions of both that fit"
)
"""What to do about bytes that no server sends."""


class ProtocolError(DurableTrioError):
    """The server sent bytes that are not what the protocol says. ``code`` is the protocol's."""

    def __init__(self, message: str, code: int = PROTOCOL_VIOLATION) -> None:
        super().__init__(message)
        self.code = code


class PayloadError(DurableTrioError):
    """An event or a body that cannot be read. ``status`` is the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnsupportedFeatureError(UsageError):
    """A handler uses what the negotiated version of the protocol cannot express."""


class IdentityError(DurableTrioError):
    """A request does not prove that it comes from a server whose key is trusted."""

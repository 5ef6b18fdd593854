"""Versions: of the service protocol and of the endpoint manifest, as media types.

Owns which versions there are, how they are negotiated, and which features need which.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from durable_trio import IdempotentTarget, WorkflowTarget
from durable_trio.abc import (
    Attach,
    Call,
    CompleteAwakeable,
    CompletePromise,
    Failure,
    GetOutput,
    OneWayCall,
    Output,
    SendSignal,
)

from ._errors import UnsupportedFeatureError
from ._http import accepted

if TYPE_CHECKING:
    from durable_trio.abc import Command, Value, Void

MIN_PROTOCOL: Final = 5
MAX_PROTOCOL: Final = 7
MANIFESTS: Final = (2, 3, 4)

_INVOCATION: Final = re.compile(r"application/vnd\.restate\.invocation\.v([1-9]\d{0,2})")
_MANIFEST: Final = re.compile(r"application/vnd\.restate\.endpointmanifest\.v([1-9]\d{0,2})\+json")
_ANYTHING: Final = frozenset({"*/*", "application/*", "application/json"})

_METADATA_SINCE: Final = 6
_SCOPES_SINCE: Final = 7


def protocol_of(content_type: str) -> int | None:
    """The protocol version of a request's content type, None for one not spoken here."""
    match = _INVOCATION.fullmatch(_media_type(content_type))
    version = int(match.group(1)) if match else 0
    return version if MIN_PROTOCOL <= version <= MAX_PROTOCOL else None


def protocol_type(version: int) -> str:
    """The content type of a protocol version."""
    return f"application/vnd.restate.invocation.v{version}"


def manifest_of(accept: str) -> int | None:
    """The newest manifest version that both sides know, None if there is none.

    Whoever accepts anything, a browser say, gets the newest one.
    """
    if not accept.strip():
        return max(MANIFESTS)

    versions: set[int] = set()
    for media_type in accepted(accept):
        if media_type in _ANYTHING:
            versions.update(MANIFESTS)
        elif match := _MANIFEST.fullmatch(media_type):
            versions.add(int(match.group(1)))
    return max(versions.intersection(MANIFESTS), default=None)


def manifest_type(version: int) -> str:
    """The content type of a manifest version."""
    return f"application/vnd.restate.endpointmanifest.v{version}+json"


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def check_supported(used: Command | Value | Failure | Void, version: int) -> None:
    """``UnsupportedFeatureError`` if ``used`` needs a newer version of the protocol."""
    if version >= _SCOPES_SINCE:
        return

    needed, feature = _needs(used)
    if version < needed:
        raise UnsupportedFeatureError(
            f"{feature} needs version {needed} of Restate's service protocol, and this invocation "
            f"speaks version {version}. Leave it out, or use a server that speaks version {needed} "
            "(1.7 does so for version 7 with the option experimental_enable_protocol_v7)."
        )


def _needs(used: object) -> tuple[int, str]:
    if isinstance(used, Call | OneWayCall):
        scoped = used.scope is not None or used.limit_key is not None
        return (_SCOPES_SINCE, "a call with a scope or limit key") if scoped else (0, "")

    if isinstance(used, Attach | GetOutput):
        target = used.target
        scoped = isinstance(target, IdempotentTarget | WorkflowTarget) and target.scope is not None
        return (_SCOPES_SINCE, "a target with a scope") if scoped else (0, "")

    if isinstance(used, Output | CompletePromise | CompleteAwakeable | SendSignal):
        used = used.result
    if isinstance(used, Failure) and used.metadata:
        return _METADATA_SINCE, "a failure with metadata"

    return 0, ""

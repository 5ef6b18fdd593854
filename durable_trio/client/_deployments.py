"""What an admin port tells of deployments and services.

Owns the values and reading them from its answers. Asking is ``_admin.py``'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, cast

import attrs

from durable_trio._exceptions import BadAnswerError
from durable_trio._services import ServiceKind

from ._answers import shown

ADMIN_PORT: Final = "Is this the URL of a Restate server's admin port, of 1.7 or newer?"

_KINDS: Final = {
    "Service": ServiceKind.SERVICE,
    "VirtualObject": ServiceKind.VIRTUAL_OBJECT,
    "Workflow": ServiceKind.WORKFLOW,
}


@attrs.frozen
class Deployment:
    """An endpoint that a server has discovered, and the names of its services.

    ``uri`` is its URL as the server calls it, or the ARN of a function. ``created_at`` is when
    it was discovered, in seconds since the epoch; None if the server did not say.
    """

    id: str
    services: tuple[str, ...]
    uri: str = ""
    created_at: float | None = None

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Deployment:
        """One as the admin port describes it. ``BadAnswerError`` if it is none."""
        try:
            return cls(
                str(fields["id"]),
                _names(fields["services"]),
                str(fields.get("uri") or fields.get("arn") or ""),
                _seconds(fields.get("created_at")),
            )
        except (KeyError, TypeError) as exc:
            raise BadAnswerError(
                f"expected a deployment with its id and services, got {shown(fields)}. {ADMIN_PORT}"
            ) from exc


@attrs.frozen
class DeployedService:
    """A service as a server knows it: the newest revision, and who serves it."""

    name: str
    kind: ServiceKind
    handlers: tuple[str, ...]
    deployment_id: str
    revision: int
    public: bool
    """Whether the ingress calls it."""

    @classmethod
    def read(cls, fields: dict[str, Any]) -> DeployedService:
        """One as the admin port describes it. ``BadAnswerError`` if it is none."""
        try:
            return cls(
                str(fields["name"]),
                _KINDS[fields["ty"]],
                _names(fields["handlers"]),
                str(fields["deployment_id"]),
                int(fields["revision"]),
                bool(fields["public"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise BadAnswerError(
                "expected a service with its name, kind, handlers and deployment, got "
                f"{shown(fields)}. {ADMIN_PORT}"
            ) from exc


def each_of(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer. ``BadAnswerError`` if there is none."""
    found = fields.get(name)
    if not isinstance(found, list) or not all(
        isinstance(each, dict) for each in cast("list[object]", found)
    ):
        raise BadAnswerError(f"expected a list of {name}, got {shown(fields)}. {ADMIN_PORT}")

    return cast("list[dict[str, Any]]", found)


def _names(described: list[dict[str, Any]]) -> tuple[str, ...]:
    """In order: a server tells them in any."""
    return tuple(sorted(str(each["name"]) for each in described))


def _seconds(text: object) -> float | None:
    if not isinstance(text, str):
        return None

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None

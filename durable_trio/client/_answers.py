"""What an answer means: a result, a failure, a refusal, or nothing that counts.

Owns the table from statuses and bodies to errors.

| answer                                        | is                                        |
| --------------------------------------------- | ----------------------------------------- |
| 2xx, and 470 (the output is not ready)        | the answer                                |
| ``x-restate-error-source: invocation``        | the ``TerminalError`` an invocation ended with |
| 503 of an invocation whose status is paused   | ``InvocationPausedError``                 |
| a status in ``unavailable``                   | ``UnavailableError``                      |
| any other 4xx or 5xx                          | ``RefusedError``                          |
| anything else: redirects, upgrades            | ``BadAnswerError``                        |

 1. An answer is somebody else's text: whatever it holds, it is an error of this tree.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from durable_trio import _json
from durable_trio._exceptions import (
    BadAnswerError,
    InvocationPausedError,
    RefusedError,
    UnavailableError,
)
from durable_trio._journal._entries import Failure
from durable_trio._ledger import error_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio._exceptions import DurableTrioError

NOT_READY: Final = 470
"""The status of an output that is asked for too early."""

INGRESS_UNAVAILABLE: Final = frozenset({408, 425, 429, *range(500, 600)})
"""An ingress that answers with one of these has not decided anything."""

_PAUSED: Final = "paused"
"""What the embedded runtime says of an invocation that has no result until it is resumed."""

_LONGEST: Final = 500
"""As much as an error quotes of a page that is none of Restate's."""


@attrs.frozen
class Answer:
    """A whole answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""

    @property
    def invocation_id(self) -> str | None:
        """The invocation that it is about, if it says so."""
        return self.headers.get("x-restate-id")

    def fields(self) -> dict[str, Any]:
        """The fields of a JSON object. ``BadAnswerError`` for anything else."""
        fields = _fields(self.body)
        if fields is None:
            raise BadAnswerError(
                f"expected a JSON object, got {_quoted(self.body)} (status {self.status}): does a "
                "Restate server or ingress listen at this URL?"
            )

        return fields


def shown(fields: object) -> str:
    """What an answer holds, as much of it as an error quotes."""
    return _cut(str(fields))


def error_of_answer(answer: Answer, unavailable: frozenset[int]) -> DurableTrioError | None:
    """The error that an answer stands for, or None."""
    status = answer.status
    if 200 <= status < 300 or status == NOT_READY:
        return None

    if not 400 <= status <= 999:
        location = answer.headers.get("location")
        where = f" to {location}" if location else ""
        return BadAnswerError(
            f"unexpected answer: status {status}{where}. Is this the URL of the server itself?"
        )

    fields = _fields(answer.body) or {}
    message = str(fields.get("message") or _quoted(answer.body))
    source = answer.headers.get("x-restate-error-source") or fields.get("source")
    if source == "invocation":
        code, metadata = fields.get("code"), fields.get("metadata")
        labels = cast("dict[str, object]", metadata if isinstance(metadata, dict) else {})
        error = error_of(
            Failure(
                code if isinstance(code, int) else status,
                message,
                tuple((name, str(value)) for name, value in labels.items()),
            )
        )
        if answer.invocation_id is not None:
            error.add_note(f"It is the outcome of the invocation {answer.invocation_id}.")
        return error

    if fields.get("status") == _PAUSED and answer.invocation_id is not None:
        return InvocationPausedError(message, answer.invocation_id)

    if status in unavailable:
        return UnavailableError(message, status, _retry_after(answer))

    return RefusedError(message, status)


def _fields(body: bytes) -> dict[str, Any] | None:
    try:
        found: Any = _json.read(body)
    except ValueError:
        return None

    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _quoted(body: bytes) -> str:
    return _cut(body[: 4 * _LONGEST].decode(errors="replace").strip()) or "an empty body"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _retry_after(answer: Answer) -> float | None:
    """In seconds: a server says so, or it names a date."""
    text = answer.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else None

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None

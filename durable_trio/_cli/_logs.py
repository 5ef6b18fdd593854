"""Logs of a server: on stderr, as text or as JSON, one record a line.

Owns the two formats. What is silent while a handler replays is ``ctx.log``'s business.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else was passed as ``extra``."""

_CHATTY: Final = ("hpack", "httpx", "httpcore")
"""Libraries that log, below warnings, what belongs to nobody's log: headers with their secrets."""


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, and what was passed as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, default=repr, ensure_ascii=False, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """A record as a line for people, with the invocation it belongs to."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the standard's
        text = super().formatMessage(record)
        invocation = getattr(record, "invocation_id", None)
        branch = getattr(record, "branch", "")
        if invocation is None:
            return text

        return f"{text} [{invocation} {branch}]" if branch else f"{text} [{invocation}]"


def configure_logs(level: str, style: str) -> None:
    """Have everything logged to stderr from ``level`` on, as ``"text"`` or ``"json"``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)

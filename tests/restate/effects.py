"""What a load on a Restate server has done: the log of effects beside the server's journals.

The handlers are those of the crash tests. An effect is a line that a run's body leaves outside of
any journal; whether its result is durable is what the server's journal says.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from .server import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from .server import RestateServer

RESULT = {
    "branches": [0, 10, 20, 30],
    "decisions": ["yes"],
    "winner": "won",
    "timed out": True,
    "refused": "no",
    "squares": [0, 1, 4],
}
"""What each job answers with."""

LABELS = [*(f"branch {number}" for number in range(4)), "cleaned by timeout", "sent", "sent"]
"""What each job leaves in the ledger, in some order."""


@attrs.frozen
class Load:
    """Jobs on a server, and the log of their effects."""

    server: RestateServer
    effects: Path
    jobs: list[str] = attrs.field(factory=list[str])

    def start(self, count: int) -> None:
        """Start so many jobs more."""
        for _ in range(count):
            key = f"job {len(self.jobs)}"
            self.jobs.append(self.server.send("Job/main", 4, idempotency_key=key))

    def executed(self) -> Counter[str]:
        """How often each body was executed so far."""
        text = self.effects.read_text() if self.effects.exists() else ""
        return Counter(text.split("\n")[:-1])

    def durable(self) -> set[str]:
        """The steps whose results the server has, named as in the log of effects."""
        rows = self.server.query(
            "SELECT id, name, entry_lite_json FROM sys_journal "
            "WHERE entry_type IN ('Command: Run', 'Notification: Run')"
        )
        names: dict[tuple[str, int], str] = {}
        ended: set[tuple[str, int]] = set()
        for row in rows:
            entry = json.loads(row["entry_lite_json"])
            if "Command" in entry:
                completion = entry["Command"]["Run"]["completion_id"]
                names[row["id"], completion] = _effect(row.get("name") or "")
            else:
                ended.add((row["id"], entry["Notification"]["id"]["CompletionId"]))
        return {f"{place[0]}/{names[place]}" for place in ended}

    def check(self) -> None:
        """Every job has the right result, its effects are there once, and nothing is left over."""
        for job in self.jobs:
            assert self._attach(job) == RESULT
        eventually(
            self._ledger, Counter({label: LABELS.count(label) * len(self.jobs) for label in LABELS})
        )
        eventually(self._unfinished, list[dict[str, Any]]())

    def _attach(self, job: str) -> Any:
        response = self.server.attach(job)
        assert response.is_success, response.text
        return response.json()

    def _ledger(self) -> Counter[str]:
        rows = self.server.query(
            "SELECT value_utf8 FROM state WHERE service_name = 'Ledger' AND key = 'labels'"
        )
        return Counter(json.loads(rows[0]["value_utf8"])) if rows else Counter()

    def _unfinished(self) -> list[dict[str, Any]]:
        return self.server.query(
            "SELECT id, target_service_name, target_handler_name, status FROM sys_invocation "
            "WHERE status <> 'completed'"
        )


def _effect(entry: str) -> str:
    """``branch[2]/a`` journals what the log of effects calls ``branch2/a``."""
    branch, _, step = entry.rpartition("/")
    if branch.startswith("branch["):
        return f"branch{branch.removeprefix('branch[').rstrip(']')}/{step}"

    return step


def failed_attempts(server: RestateServer) -> list[str]:
    """The errors that attempts have ended with."""
    rows = server.query(
        "SELECT event_json FROM sys_journal_events WHERE event_type = 'TransientError'"
    )
    return [row["event_json"] for row in rows]

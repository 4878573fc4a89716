"""The events of a run as they stand in a store's file, read with plain SQL and past all code of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3


def stored_events(connection: sqlite3.Connection, run: int) -> list[dict[str, Any]]:
    """The bodies in the order they were committed, each with its `sequence` and `at_ms`."""
    events: list[dict[str, Any]] = []
    rows = connection.execute("SELECT sequence, at_ms, body FROM events WHERE run = ? ORDER BY position", (run,))
    for last, at_ms, text in rows:
        found = json.loads(text)
        bodies = found if isinstance(found, list) else [found]
        keys: dict[str, str] = {}
        for sequence, body in enumerate(bodies, start=last - len(bodies) + 1):
            if body["type"] == "step":
                # In a row, a step's key is said once.
                body["key"] = keys[body["stepId"]] = body["key"] or keys[body["stepId"]]
            events.append({**body, "sequence": sequence, "at_ms": at_ms})
    return events

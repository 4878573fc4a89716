"""What a storm is made of: how hard it is, the runs it means, and the count of what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.processes import storm_workflow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes.window import Window

    Message = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How long and how hard: harm is spread over `seconds`, and the storm lasts until every run was started."""

    runs: int
    seconds: float
    kills: int
    short_stops: int
    long_stops: int
    # Runs active at once before new ones wait.
    active_max: int = 10
    # What is asked in a second.
    pace: float = 25.0


@dataclass
class Run:
    """One run as the storm means it, by its start key; what it knows of it is what windows were told."""

    name: str
    folder: Path
    flaky: bool
    asks: bool = False
    run_id: str | None = None
    status: str | None = None
    sequence: int = 0
    is_deletion_asked: bool = False
    # The window that was asked to conduct it last.
    conductor: Window | None = None

    @property
    def start(self) -> Message:
        return {
            "script": {"name": storm_workflow.NAME},
            "args": {"name": self.name, "flaky": self.flaky, "asks": self.asks},
            "workspaceFolder": self.folder.resolve().as_uri(),
            "startKey": self.name,
            "label": self.name,
            "events": True,
        }


@dataclass(frozen=True)
class Given:
    """An answer to a question, and what was replied to it; `accepted` is None when nobody waited for one any more."""

    interaction_id: str
    text: str
    accepted: bool | None
    recorded: str | None


@dataclass
class Weather:
    """What the storm came to."""

    kills: int = 0
    stops: int = 0
    long_stops: int = 0
    asked: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    # What was said of a store that could not be used: another process stood still in a transaction.
    away: list[str] = field(default_factory=list[str])

"""What `sidestep doctor` says of one thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass

from sidestep.cli.exits import Exit


@dataclass(frozen=True)
class Finding:
    """
    One thing looked at: what was found, and what to do when that is not good.

    Attributes:
        is_needed: Sidestep does not work without; else what to do is only an offer.
    """

    what: str
    found: str
    todo: str | None = None
    exit: Exit = Exit.FAILED
    is_needed: bool = True

    @property
    def mark(self) -> str:
        return "ok" if self.todo is None else "!!" if self.is_needed else "--"

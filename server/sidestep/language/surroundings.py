"""
What the language side may ask of the rest of the process, all of it optional: without an answer it says less.

The callables are asked from any thread and may take a while (they read the disk). None of them needs trust or a store.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PROJECT_SCRIPT = re.compile(r"(.*)[/\\]\.sidestep[/\\]workflows[/\\][^/\\]+\.py", re.DOTALL)


@dataclass(frozen=True)
class StepMemory:
    """
    What is known of a step from the last run of its script.

    Attributes:
        status: As the journal has it: "completed", "failed", "started", "interrupted".
        duration_ms: None while it runs, or when it is not known.
        is_reused: Whether a run that goes on would take its stored output; None when that is not known.
    """

    step_id: str
    status: str
    duration_ms: int | None = None
    is_reused: bool | None = None


def _no_workflows(folder: str | None) -> Mapping[str, str]:
    return {}


def _nothing_read(path: str) -> str | None:
    return None


@dataclass(frozen=True)
class Surroundings:
    """
    Attributes:
        user_folder: The user's folder of scripts.
        workflows: Path by name of every script that can be named in a workspace folder (None: without one).
        read: The text of a script by its path; None when it cannot be read.
        agents: Names that `agent=` takes in a workspace folder; None, or an answer of None, when nobody can be asked.
        last_steps: The steps of the last run of the script at a path; None when nobody can be asked.
    """

    user_folder: str | None = None
    workflows: Callable[[str | None], Mapping[str, str]] = _no_workflows
    read: Callable[[str], str | None] = _nothing_read
    agents: Callable[[str | None], Sequence[str] | None] | None = None
    last_steps: Callable[[str], Sequence[StepMemory]] | None = None

    def is_script(self, path: str) -> bool:
        """True for a workflow script: `*/.sidestep/workflows/*.py`, or a file of the user's folder."""
        folder, name = os.path.split(path)
        if not name.endswith(".py") or name[0] in "._":
            # Discovery takes neither `_private.py` nor `.hidden.py` for a script.
            return False
        is_users = self.user_folder is not None and os.path.normpath(folder) == os.path.normpath(self.user_folder)
        return is_users or _PROJECT_SCRIPT.fullmatch(path) is not None


def workspace_of(path: str) -> str | None:
    """The workspace folder of a project's script, None for the user's."""
    found = _PROJECT_SCRIPT.fullmatch(path)
    return None if found is None else found[1] or "/"

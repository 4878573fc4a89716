"""A project whose agents speak the Agent Client Protocol, each a program of its own, and what they were asked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.command_line import CommandLine
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AGENTS = Path(__file__).parent / "agents"


class AcpProject:
    """
    A small repository in a trusted folder. Its agents answer by the rules of one story (`agents/scripted_agent.py`).

    Attributes:
        tables: The configuration of each agent, in order; the first one is the default.
    """

    def __init__(self, place: Path, story: Sequence[Mapping[str, Any]], files: Mapping[str, str]) -> None:
        self.cli = CommandLine(place)
        self.calls = place / "calls"
        self.story = place / "story.json"
        self.story.write_text(json.dumps(story))
        self.tables: list[str] = []
        self.repository = GitRepository(self.cli.folder)
        self.repository.commit("Ada", {".gitignore": "__pycache__/\n.sidestep/\n", **files})

    def agent(self, name: str, program: str, *arguments: str, **environ: str) -> None:
        """Configure one more agent: one of the programs, by its file's name."""
        words = [str(AGENTS / f"{program}.py"), "--answers", str(self.story), *arguments]
        environ = {"SIDESTEP_AGENT_CALLS": str(self.calls), **environ}
        variables = ", ".join(f"{key} = {json.dumps(value)}" for key, value in environ.items())
        self.tables.append(
            f'[agents.{name}]\nkind = "acp"\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps(words)}\n'
            f"env = {{{variables}}}\n"
        )
        self.configure()

    def configure(self, more: str = "") -> None:
        text = "\n".join([*self.tables, more])
        (self.cli.folder / ".sidestep" / "config.toml").write_text(text)

    def called(self) -> list[int | None]:
        """Which rule of the story each prompt was, in order."""
        if not self.calls.exists():
            return []
        return [json.loads(line)["rule"] for line in self.calls.read_text().splitlines(keepends=True) if "\n" in line]

    def wait_for(self, rule: int) -> None:
        """Until an agent was prompted with this; it tells nobody else."""
        while rule not in self.called():
            os.sched_yield()

"""How a configured agent's program is started; for agents that are programs (kinds `acp` and `cli`)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AgentCommand:
    """
    One agent's program.

    Attributes:
        command: A name on PATH or a path; a relative path starts at the folder the agent runs in.
        args: What follows it.
        env: Variables set over the inherited environment.
        cwd: Folder to run in, relative to the task's folder or absolute and below it; None for the task's folder.
    """

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None

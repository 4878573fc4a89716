"""
The process group of an agent one talks to over its pipes: started behind the gate, written down, ended whole.

The same order as a command's (`command.py`): ledger -> claim -> gate -> ... -> end of group -> descriptors -> ledger.
Knows no protocol. Invariants: no program of the agent runs before its group stands in the ledger, and the group stands
there until it is gone; when `end` returned, no process and no descriptor is left.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from sidestep.executors.child_process import start_child
from sidestep.executors.command_input import Command
from sidestep.executors.launch import CannotLaunch, plan_launch
from sidestep.executors.process_group import group_alive, kill_group, started_at, terminate_group
from sidestep.model.agents import AgentFailed
from sidestep.model.run import Failure, FailureCode
from sidestep.settings import KIB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from sidestep.executors.agent_command import AgentCommand
    from sidestep.executors.child_process import ChildInput, ChildProcess
    from sidestep.executors.launch import Launch
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask
    from sidestep.model.ports import GroupLedger

STDERR_TAIL_BYTES = 64 * KIB
# A well-behaved agent goes by itself when its input ends; one does not in mid-turn, one takes 7 s.
GOES_BY_ITSELF_S = 0.5


def plan_agent(command: AgentCommand, task: AgentTask, environ: Mapping[str, str], env_deny: Collection[str]) -> Launch:
    """
    How to start an agent's program in the folder of its task.

    Raises:
        AgentFailed: the folder or the program is not there; for a program, where it was looked for.
    """
    try:
        argv = Command((command.command, *command.args), cwd=command.cwd or "", env=dict(command.env))
        return plan_launch(argv, task.cwd, environ, env_deny)
    except CannotLaunch as cannot:
        message, path = str(cannot), command.env.get("PATH", environ.get("PATH", os.defpath))
        if os.path.basename(command.command) == command.command and shutil.which(command.command, path=path) is None:
            message += f" (PATH is {path})"
        raise AgentFailed(Failure(cannot.code, message, task.step_id)) from cannot


class AgentProcess:
    """A started agent. Get one from `start_agent`; it must be ended."""

    def __init__(
        self,
        child: ChildProcess,
        ledger: GroupLedger,
        grace_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.child = child
        self._ledger = ledger
        self._grace_s = grace_s
        self._sleep = sleep
        self._input: ChildInput | None = None
        self._is_ended = False

    def write(self, data: bytes) -> int:
        """Say something; returns how many bytes are not yet in the pipe."""
        assert self._input is not None, "the gate is open"
        self._input.write(data)
        return self._input.unread_bytes

    @property
    def is_running(self) -> bool:
        return not self._is_ended and not self.child.exited.done()

    async def begin(self, task: AgentTask, signal: AbortSignal) -> None:
        """Write the group down, look whether the run is still ours, and let the program run."""
        leader_started_at = started_at(self.child.group_id)
        if leader_started_at is None:
            raise _infrastructure(task, "the agent was killed before it could begin; run it again")
        try:
            self._ledger.record(task.run_id, self.child.group_id, leader_started_at)
        except OSError as error:
            message = f"the agent could not be written down ({error}), so it was not started"
            raise _infrastructure(task, message) from error
        await signal.race(task.require_claim())
        signal.throw_if_aborted()
        self._input = await self.child.open_gate_to_talk()

    async def end(self, *, gently: bool) -> None:
        """
        End the whole group and give everything back. Idempotent; cut short, it may be asked again.

        Args:
            gently: The end of its input tells the agent to go first.
        """
        if self._is_ended:
            return
        if self._input is None:
            self.child.shut_gate()
        else:
            self._input.end()
        try:
            if gently:
                await self._gone_by_itself()
            if group_alive(self.child.group_id):
                await terminate_group(self.child.group_id, self._grace_s, self._sleep, self.child.exited)
        finally:
            self.child.shut_gate()
            await self.child.close()
        # As with commands: forgotten only when it was seen to be gone.
        self._ledger.forget(self.child.group_id)
        self._is_ended = True

    async def _gone_by_itself(self) -> None:
        """Wait a moment for the leader; what is left when it is gone has lost its master and need not be waited for."""
        try:
            await asyncio.wait([self.child.exited], timeout=GOES_BY_ITSELF_S)
        except asyncio.CancelledError:
            kill_group(self.child.group_id)
            raise


async def start_agent(
    launch: Launch,
    task: AgentTask,
    signal: AbortSignal,
    ledger: GroupLedger,
    grace_s: float,
    sleep: Callable[[float], Awaitable[None]],
    take_output: Callable[[bytes], None],
) -> AgentProcess:
    """
    Start an agent's program for a task.

    Args:
        take_output: Takes what it prints on standard output; standard error goes to `task.emit`.

    Raises:
        Aborted: the signal fired, or the run is no longer ours; nothing is left.
        AgentFailed: the system refuses.
    """

    def emit(stream: str, data: bytes) -> None:
        if stream == "stdout":
            take_output(data)
        else:
            task.emit(stream, data)

    try:
        child = await start_child(launch, has_input=True, stream_bytes_max=STDERR_TAIL_BYTES, emit=emit)
    except OSError as error:
        raise _infrastructure(task, f"{launch.argv[0]} could not be started: {error.strerror or error}") from error
    process = AgentProcess(child, ledger, grace_s, sleep)
    try:
        await process.begin(task, signal)
    except BaseException:
        await process.end(gently=False)
        raise
    return process


def _infrastructure(task: AgentTask, message: str) -> AgentFailed:
    return AgentFailed(Failure(FailureCode.INFRASTRUCTURE, message, task.step_id))

"""
The executor of `command` steps: one program, no shell, nothing left behind (P5, I6).

Owns a command from its input to its outcome: how many run at once, the order ledger -> gate -> wait -> end of group ->
ledger, and what counts as failure. Knows no journal and no script.

What happens to processes the command leaves behind: the step waits for the leader. When it has ended, the others get
`LEFTOVERS_S` to finish what they write and as long to go, then what is left of the group is terminated. A program that
should live on has to leave the group by itself (`setsid`), as daemons do.

Invariant: no user code runs before its group stands in the ledger, and the group stands there until it is gone.
Invariant: the claim is looked at after the group was written down and before the gate opens. Whoever takes the run over
grew the epoch before it reads the ledger: either we see that, or it sees the group.
Invariant: when `execute` returns or raises `Aborted`, no process of the group is left.
"""

from __future__ import annotations

import asyncio
import errno
import signal as signals
from typing import TYPE_CHECKING, Any

from sidestep.executors.child_process import start_child
from sidestep.executors.command_input import parse_command
from sidestep.executors.launch import CannotLaunch, plan_launch
from sidestep.executors.process_group import gone_within, started_at
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sidestep.executors.child_process import ChildProcess
    from sidestep.executors.command_input import Command
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.ports import GroupLedger
    from sidestep.settings import Settings

# Ends of pipelines need a few milliseconds after the leader's end, and so does a daemon on its way out of the group;
# a forgotten background process should not cost the step more than this.
LEFTOVERS_S = 0.5


class CommandExecutor:
    """
    Runs commands for any number of runs.

    Args:
        environ: The environment commands inherit, as it was when the process started.
        sleep: Waits a number of seconds, really: the processes live in real time.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: GroupLedger,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._environ = environ
        self._sleep = sleep
        self._places = (asyncio.Semaphore(settings.commands_running_max),)

    def places(self, step_input: dict[str, Any], folder: str) -> Sequence[asyncio.Semaphore]:
        return self._places

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        """See `StepExecutor.check`: the shape only, an earlier step may yet make the program or the folder."""
        _, problem = parse_command(step_input)
        return problem

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Run the command of `request.input` (its shape: `command_input.py`).

        Returns:
            `{"exit_code", "stdout", "stderr", "stdout_bytes", "stderr_bytes", "duration_ms"}`: each stream is the text
            of its last `command_stream_bytes_max` bytes, what is not UTF-8 replaced; the `_bytes` count all of it.
            `exit_code` is the negative signal number when a signal ended the program.
            Or a failure: `validation` (input, cwd), `infrastructure` (no such program), `step` (exit code, with
            `check`), `limit` (standard output cut).

        Raises:
            Aborted: the signal fired; the group got TERM, after `terminate_grace_s` KILL, and is gone.
        """
        signal.throw_if_aborted()
        command, problem = parse_command(request.input)
        if command is None:
            return _failed(request, FailureCode.VALIDATION, problem or "")
        try:
            return await self._run(command, request, signal)
        except CannotLaunch as cannot:
            return _failed(request, cannot.code, str(cannot))

    async def _run(self, command: Command, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        launch = plan_launch(command, request.folder, self._environ, self._settings.env_deny)
        try:
            child = await start_child(
                launch,
                has_input=command.stdin is not None,
                stream_bytes_max=self._settings.command_stream_bytes_max,
                emit=request.emit,
            )
        except OSError as error:
            raise _refused_by_system(error, launch.argv[0]) from error
        try:
            self._write_down(child.group_id, request.run_id)
            await signal.race(request.require_claim())
            signal.throw_if_aborted()
            began_at = asyncio.get_running_loop().time()
            await child.open_gate(command.stdin)
            # Told in the moment of the abort: the program ends while everybody else still hears of it.
            unlisten = signal.listen(lambda _: child.ask_to_end())
            try:
                exit_code = await signal.race(self._finish(child))
            finally:
                unlisten()
        finally:
            await self._end(child)
        assert child.exited_at is not None, "the leader was waited for"
        return self._outcome(command, request, child, exit_code, child.exited_at - began_at)

    async def _finish(self, child: ChildProcess) -> int:
        """Wait for the leader, and for what it leaves behind at most `LEFTOVERS_S` each to fall silent and to go."""
        exit_code = await child.wait()
        if await child.drained_within(LEFTOVERS_S):
            await gone_within(child.group_id, LEFTOVERS_S, self._sleep)
        return exit_code

    def _write_down(self, group_id: int, run_id: str) -> None:
        leader_started_at = started_at(group_id)
        if leader_started_at is None:
            raise CannotLaunch(FailureCode.INFRASTRUCTURE, "the process was killed before it could begin; run it again")
        try:
            self._ledger.record(run_id, group_id, leader_started_at)
        except OSError as error:
            raise CannotLaunch(
                FailureCode.INFRASTRUCTURE, f"the process could not be written down ({error}), so it was not started"
            ) from error

    async def _end(self, child: ChildProcess) -> None:
        """End what is left of the group, give back the descriptors, and only then forget the group."""
        await child.end(self._settings.terminate_grace_s, self._sleep)
        # Not when the wait was cut short: whoever takes over has to look for the group. And also when writing it down
        # failed: half of it may stand there.
        self._ledger.forget(child.group_id)

    def _outcome(
        self, command: Command, request: StepRequest, child: ChildProcess, exit_code: int, duration_s: float
    ) -> StepOutcome:
        stdout, stderr = child.stdout.text(), child.stderr.text()
        if command.check and exit_code != 0:
            message = _exit_message(command.argv[0], exit_code, stderr or stdout)
            return _failed(request, FailureCode.STEP, _end_of(message, self._settings.failure_message_chars_max))
        if child.stdout.is_truncated and not command.allow_truncated:
            kept = self._settings.command_stream_bytes_max
            return _failed(
                request,
                FailureCode.LIMIT,
                f"standard output has {child.stdout.total_bytes} bytes, and at most {kept} are kept; "
                "ask for less, or take the end of it with allow_truncated=True",
            )
        return StepSucceeded(
            {
                "exit_code": exit_code,
                "stdout": stdout,
                "stderr": stderr,
                "stdout_bytes": child.stdout.total_bytes,
                "stderr_bytes": child.stderr.total_bytes,
                "duration_ms": max(0, round(duration_s * 1000)),
            }
        )


def _failed(request: StepRequest, code: FailureCode, message: str) -> StepFailed:
    return StepFailed(Failure(code, message, step_id=request.step_id))


def _refused_by_system(error: OSError, program: str) -> CannotLaunch:
    if error.errno == errno.E2BIG:
        return CannotLaunch(FailureCode.LIMIT, "the arguments are longer than the system allows; use stdin for data")
    return CannotLaunch(FailureCode.INFRASTRUCTURE, f"{program} could not be started: {error.strerror or error}")


def _exit_message(program: str, exit_code: int, said: str) -> str:
    if exit_code < 0:
        ending = f"was ended by signal {-exit_code}"
        if -exit_code in {member.value for member in signals.Signals}:
            ending += f" ({signals.Signals(-exit_code).name})"
    else:
        ending = f"ended with exit code {exit_code}"
    said = said.strip()
    return f"{program} {ending}" + (f": {said}" if said else "")


def _end_of(message: str, chars_max: int) -> str:
    """Keeps the head, which says what happened, and the end, where programs say why."""
    if len(message) <= chars_max:
        return message
    head = chars_max // 10
    return f"{message[:head]} ... {message[-(chars_max - head - 5) :]}"

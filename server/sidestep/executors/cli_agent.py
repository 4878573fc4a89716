"""
Agents of kind `cli`: any program that takes a prompt, works, and prints its report or writes it to a file.

Each turn is one run of the program. Running it, with the order ledger -> gate -> wait -> end of group, is
`command.py`'s; here is what is put in (the prompt, filled-in arguments) and what is made of what comes out
(`cli_report.py`). A schema is none of its business: the engine puts it into the prompt.

Invariant: when `prompt` returned or raised, no process of the turn and no file of the private folder is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from sidestep.executors.agent_process import plan_agent
from sidestep.executors.cli_report import CannotReport, read_report_file, reply_of
from sidestep.executors.command import CommandExecutor
from sidestep.executors.durable_files import in_thread
from sidestep.model.agent_settings import CWD, PROMPT, REPORT_FILE
from sidestep.model.agents import AgentFailed
from sidestep.model.execution import StepFailed, StepRequest
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from sidestep.executors.agent_command import AgentCommand
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agent_settings import AgentSettings
    from sidestep.model.agents import AgentReply, AgentTask
    from sidestep.model.ports import GroupLedger
    from sidestep.settings import Settings

_REPORT_NAME = "report.txt"
_HOLES = re.compile("|".join(map(re.escape, (PROMPT, CWD, REPORT_FILE))))
# What shells and `env` end with when the program they were to become cannot be executed, or is not there.
_NEVER_BEGAN = (126, 127)


class CliAgent:
    """
    A configured program. See `model/agents.py` for the port.

    Args:
        launch: Its program; arguments may hold `{prompt}`, `{cwd}` and `{report_file}`.
        ways: How it takes a prompt and gives a report; its program is not looked at.
        settings: `agent_answer_bytes_max` limits standard output, or the report's file.
        environ: The environment the program inherits.
        sleep: Waits a number of seconds, really.
    """

    gives_data = False

    def __init__(
        self,
        name: str,
        launch: AgentCommand,
        ways: AgentSettings,
        settings: Settings,
        ledger: GroupLedger,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]],
        places: Semaphore | None,
    ) -> None:
        self.name = name
        self.places = places
        self.launch = launch
        self.ways = ways
        self.settings = dataclasses.replace(settings, command_stream_bytes_max=settings.agent_answer_bytes_max)
        self.environ = environ
        self.commands = CommandExecutor(self.settings, ledger, environ, sleep)

    async def open(self, task: AgentTask, signal: AbortSignal) -> CliSession:
        """See `Agent.open`: looks whether the program is there; nothing is started before the first prompt."""
        signal.throw_if_aborted()
        try:
            plan_agent(self.launch, task, self.environ, self.settings.env_deny)
        except AgentFailed as failed:
            message = f"agent {self.name!r} cannot be started: {failed.failure.message}"
            raise AgentFailed(Failure(failed.failure.code, message, task.step_id)) from failed
        return CliSession(self, task)

    @property
    def path_searched(self) -> str:
        return self.launch.env.get("PATH", self.environ.get("PATH", os.defpath))


class CliSession:
    """One task of a `CliAgent`; every prompt is a run of its own, that knows nothing of the one before."""

    can_go_on = False

    def __init__(self, agent: CliAgent, task: AgentTask) -> None:
        self._agent = agent
        self._task = task

    async def prompt(self, text: str, signal: AbortSignal) -> AgentReply:
        """
        See `AgentSession.prompt`.

        Raises:
            AgentFailed: `infrastructure` (it could not begin), `step` (exit code, it says so, no report), `limit`
                (prompt too long for an argument, output too long).
        """
        if self._agent.ways.takes_prompt_as_argument and "\0" in text:
            raise self._failed(FailureCode.VALIDATION, "was given a prompt with a NUL character, which no argument has")
        with self._private_folder() as report_path:
            outcome = await self._agent.commands.execute(self._request(text, report_path), signal)
            if isinstance(outcome, StepFailed):
                raise AgentFailed(self._told_of(outcome.failure, text))
            # Megabytes of JSON take a while to read.
            return await in_thread(self._reply, outcome.output, report_path)

    async def close(self) -> None:
        """See `AgentSession.close`: a turn that ended left nothing."""

    def _reply(self, output: dict[str, Any], report_path: str | None) -> AgentReply:
        agent, limit = self._agent, self._agent.settings.agent_answer_bytes_max
        exit_code: int = output["exit_code"]
        if exit_code != 0:
            raise self._ended_badly(exit_code, output)
        is_json = agent.ways.output_format == "json"
        if output["stdout_bytes"] > limit and (report_path is None or is_json):
            what = f"printed {output['stdout_bytes']} bytes, and at most {limit} are read"
            raise self._failed(FailureCode.LIMIT, f"{what}; have it print its report only, or less of it")
        try:
            written = None if report_path is None else read_report_file(report_path, limit)
            return reply_of(agent.ways, output["stdout"], written)
        except CannotReport as cannot:
            said = output["stderr"].strip()
            failed = self._failed(cannot.code, f"{cannot}" + (f": {said}" if said else ""))
            failed.usage = cannot.usage
            raise failed from cannot

    def _request(self, text: str, report_path: str | None) -> StepRequest:
        agent, task = self._agent, self._task
        holes = {PROMPT: text, CWD: task.cwd, REPORT_FILE: report_path or ""}
        as_argument = agent.ways.takes_prompt_as_argument
        # In one pass: what a prompt holds is never filled in itself.
        args = [_HOLES.sub(lambda hole: holes[hole[0]], arg) for arg in agent.launch.args]
        if as_argument and not any(PROMPT in arg for arg in agent.launch.args):
            args.append(text)
        step_input: dict[str, Any] = {
            "argv": [agent.launch.command, *args],
            "cwd": agent.launch.cwd or "",
            "env": agent.launch.env,
            "stdin": None if as_argument else text,
            "check": False,
            "allow_truncated": True,
        }
        return StepRequest(
            run_id=task.run_id,
            step_id=task.step_id,
            key=task.key,
            kind="agent",
            input=step_input,
            folder=task.cwd,
            attempt=task.attempt,
            require_claim=task.require_claim,
            emit=task.emit,
            title=task.title,
            timeout_s=task.timeout_s,
        )

    @contextlib.contextmanager
    def _private_folder(self) -> Generator[str | None]:
        """A fresh folder for the report's file, mode 0700, if the program writes one; gone afterwards."""
        if not any(REPORT_FILE in arg for arg in self._agent.launch.args):
            yield None
            return
        try:
            folder = tempfile.mkdtemp(prefix="sidestep-agent-")
        except OSError as error:
            message = f"has no folder for its report: {error.strerror or error}"
            raise self._failed(FailureCode.INFRASTRUCTURE, message) from error
        try:
            yield os.path.join(folder, self._agent.ways.report_file or _REPORT_NAME)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _ended_badly(self, exit_code: int, output: dict[str, Any]) -> AgentFailed:
        said = output["stderr"].strip() or output["stdout"].strip()
        ending = f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        if exit_code in _NEVER_BEGAN and not output["stdout"].strip():
            # The program, or the interpreter its first line asks `env` for, was not found when it was to begin.
            path = f" (PATH: {self._agent.path_searched})"
            return self._failed(FailureCode.INFRASTRUCTURE, f"did not begin, it {ending}{path}: {said}")
        return self._failed(FailureCode.STEP, ending + (f": {said}" if said else ", and printed nothing"))

    def _told_of(self, failure: Failure, text: str) -> Failure:
        """A failure of the executor in words about the agent."""
        message = f"agent {self._agent.name!r} could not be run: {failure.message}"
        if failure.code is FailureCode.LIMIT and self._agent.ways.takes_prompt_as_argument:
            message = (
                f"the prompt of {len(text.encode('utf-8', 'replace'))} bytes is longer than the system allows for an "
                f"argument; if agent {self._agent.name!r} can read it from standard input, "
                'configure it with prompt_via = "stdin"'
            )
        return Failure(failure.code, message, self._task.step_id)

    def _failed(self, code: FailureCode, what: str) -> AgentFailed:
        message = _end_of(f"agent {self._agent.name!r} {what}", self._agent.settings.failure_message_chars_max)
        return AgentFailed(Failure(code, message, self._task.step_id))


def _end_of(message: str, chars_max: int) -> str:
    """Keeps the head, which says what happened, and the end, where programs say why."""
    if len(message) <= chars_max:
        return message
    head = chars_max // 10
    return f"{message[:head]} ... {message[-(chars_max - head - 5) :]}"

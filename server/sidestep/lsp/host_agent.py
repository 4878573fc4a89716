"""
The host as an agent: the turns of an `agent` step as `workflow/runTask` (J4, W25).

Owns which tasks are with the host now, and what its answers mean. It must not know runs, journals or schemas: whether
an answer fits, how often to ask again and when a step's time is up are the engine's.

A host deduplicates by the task's id alone, so every turn of a step has an id of its own: the first one the step's, a
further one with the turn's number behind it (`task_1f.2`). The number is kept as the agent's session, so that a later
execution of the step asks for the turn the earlier one was in, and not for one whose answer was refused.

Invariant: an answer counts while its turn waits for it; late, duplicate and made-up ones meet nobody.
Invariant: when a turn ends without an answer its task was withdrawn, unless the host is gone.
Invariant: a host that is gone fails no step: the drain that follows says why the run stops.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from sidestep.model.abort import Aborted
from sidestep.model.agents import AgentFailed, AgentReply
from sidestep.model.run import Failure, FailureCode
from sidestep.model.usage import Usage
from sidestep.rpc.errors import PeerError, PeerInvalid
from sidestep.rpc.outbound import read_result
from sidestep_protocol.errors import METHOD_NOT_FOUND, REQUEST_CANCELLED
from sidestep_protocol.tasks import RunTaskParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agent_settings import AgentSettings
    from sidestep.model.agents import AgentTask
    from sidestep.rpc.envelope import Response
    from sidestep.rpc.outbound import Settle
    from sidestep_protocol.tasks import TaskProgressNotification

log = logging.getLogger("sidestep.lsp")

PROGRESS_CHARS_MAX = 500

# What no step uses: a larger number is no count, and no price.
_TOKENS_MAX, _DOLLARS_MAX = 1e12, 1e9
_MICRO_PER_DOLLAR = 1_000_000
_TURN_DIGITS_MAX = 6
# An escaped surrogate, alone or one of a pair.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


class Peer(Protocol):
    """What is needed of the session."""

    def ask(self, method: str, params: object, settle: Settle) -> str: ...

    def withdraw(self, request_id: str) -> None: ...


class _Answer(msgspec.Struct):
    """`RunTaskResult`, read leniently: null is absent but for `data`, and what the usage is matters to no step."""

    report: str | None = None
    data: Any = UNSET
    usage: Any = None


class TasksAtHost:
    """The tasks that one connection's host works on."""

    def __init__(self, peer: Peer, *, answer_bytes_max: int) -> None:
        self._peer = peer
        self._answer_bytes_max = answer_bytes_max
        # By the id the host knows it by: where its progress is told.
        self._told: dict[str, Callable[[str], None]] = {}

    def agent(self, name: str, settings: AgentSettings, places: asyncio.Semaphore | None) -> HostAgent:
        """The host as the agent of that name."""
        return HostAgent(self, name, settings, places)

    async def turn(self, params: RunTaskParams, told: Callable[[str], None], signal: AbortSignal) -> AgentReply:
        """
        Have the host do one task.

        Raises:
            Aborted: the signal fired; the task is withdrawn, and nothing of it is left on our side.
            AgentFailed: the host refused, or its answer is none.
        """
        signal.throw_if_aborted()
        answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._told[params.task_id] = told
        request_id = self._peer.ask(
            "workflow/runTask", params, lambda response: None if answer.done() else answer.set_result(response)
        )
        try:
            response = await signal.race(answer)
        finally:
            del self._told[params.task_id]
            self._peer.withdraw(request_id)
        if response is None:
            raise Aborted(await signal.wait())
        return _reply(response, self._answer_bytes_max)

    def take_progress(self, progress: TaskProgressNotification) -> None:
        """Show what a task is doing; of a task that is not with the host, nothing."""
        told = self._told.get(progress.task_id)
        if told is None:
            log.info("progress of a task that is not with the host was ignored: %.100r", progress.task_id)
        elif line := " ".join((progress.message or "")[:PROGRESS_CHARS_MAX].split()):
            told(line)


class HostAgent:
    """
    The port `Agent`.

    Attributes:
        gives_data: The host is given the schema; else it is in the prompt, and the answer is text.
    """

    def __init__(
        self, tasks: TasksAtHost, name: str, settings: AgentSettings, places: asyncio.Semaphore | None
    ) -> None:
        self._tasks = tasks
        self.name = name
        self.places = places
        self.gives_data = settings.schema != "prompt"

    async def open(self, task: AgentTask, signal: AbortSignal) -> HostSession:
        """See `Agent.open`; nothing is to be started."""
        signal.throw_if_aborted()
        return HostSession(self._tasks, task, self.name, with_schema=self.gives_data)


class HostSession:
    """One step with the host. Each turn is a task of its own, so it is told everything each time."""

    can_go_on = False

    def __init__(self, tasks: TasksAtHost, task: AgentTask, agent: str, *, with_schema: bool) -> None:
        self._tasks = tasks
        self._task = task
        self._agent = agent
        self._schema = task.schema if with_schema else None
        self._turn = _turn_under_way(task)
        # Only the turn an earlier execution was in may have been delivered.
        self._redelivery = task.redelivery

    async def prompt(self, text: str, signal: AbortSignal) -> AgentReply:
        """See `AgentSession.prompt`."""
        task = self._task
        task_id = _turn_id(task, self._turn)
        if self._turn > 1:
            task.keep_session(task_id)
        params = RunTaskParams(
            task_id=task_id,
            run_id=task.run_id,
            step_id=task.step_id,
            input_hash=task.key,
            attempt=task.attempt,
            redelivery=self._redelivery,
            prompt=text,
            cwd=task.cwd,
            agent=self._agent,
            title=UNSET if task.title is None else task.title,
            schema=UNSET if self._schema is None else self._schema,
            timeout_ms=UNSET if task.timeout_s is None else round(task.timeout_s * 1000),
        )
        reply = await self._tasks.turn(params, task.told, signal)
        self._turn += 1
        self._redelivery = False
        return reply

    async def close(self) -> None:
        """See `AgentSession.close`: a turn leaves nothing behind."""


def _turn_id(task: AgentTask, turn: int) -> str:
    return task.task_id if turn == 1 else f"{task.task_id}.{turn}"


def _turn_under_way(task: AgentTask) -> int:
    """The turn in which an earlier execution of the step was cut off; 1 when it was the first, or there is none."""
    task_id, _, turn = (task.session or "").rpartition(".")
    if task_id != task.task_id or not turn.isdecimal() or len(turn) > _TURN_DIGITS_MAX:
        return 1
    return max(int(turn), 1)


def _reply(response: Response, bytes_max: int) -> AgentReply:
    """
    Raises:
        AgentFailed: as `_failure` says, or the answer is longer than `bytes_max`, or no result.
    """
    size = response.skipped_bytes or (0 if response.result is None else memoryview(response.result).nbytes)
    if size > bytes_max:
        message = f"the host answered with {size} bytes, the limit is {bytes_max}; ask for less"
        raise AgentFailed(Failure(FailureCode.LIMIT, message))
    try:
        answer = read_result(_with_whole_characters(response), _Answer)
    except PeerError as error:
        raise AgentFailed(_failure(error)) from None
    has_data = answer.data is not UNSET
    if answer.report is None and not has_data:
        raise AgentFailed(_failure(PeerInvalid("it has neither report nor data")))
    return AgentReply(answer.report, answer.data if has_data else None, has_data=has_data, usage=_usage(answer.usage))


def _with_whole_characters(response: Response) -> Response:
    """The answer with a replacement for half a character, which JavaScript makes of a text it cuts."""
    raw = b"" if response.result is None else bytes(response.result)
    if _HALF_CHARACTER.search(raw) is None:
        return response
    try:
        text = json.dumps(json.loads(raw), ensure_ascii=False)
    except (ValueError, RecursionError):
        return response
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return replace(response, result=msgspec.Raw(whole.encode()))


def _failure(error: PeerError) -> Failure:
    """What the step fails with; only a host's own words for what it could not do are a failure of the work."""
    if isinstance(error, PeerInvalid):
        why = f"what the host answered is no result of workflow/runTask, {{report?, data?, usage?}}: {error.message}"
        return Failure(FailureCode.INFRASTRUCTURE, why)
    said = error.message.strip()
    if error.code == METHOD_NOT_FOUND:
        why = (
            "the host said that it does agent steps (capability runTask) and does not know workflow/runTask; "
            "update the host, or configure another agent"
        )
        return Failure(FailureCode.INFRASTRUCTURE, why)
    if error.code == REQUEST_CANCELLED:
        return Failure(FailureCode.INFRASTRUCTURE, "the host cancelled it" + (f": {said}" if said else ""))
    return Failure(FailureCode.STEP, said or f"the host refused it with error {error.code} and no message")


def _usage(told: Any) -> Usage | None:
    """`{inputTokens?, outputTokens?, costUsd?}` as far as it makes sense; None when nothing of it does."""
    if not isinstance(told, dict):
        return None
    known = cast("dict[str, Any]", told)
    usage = Usage(
        input_tokens=round(_number(known, "inputTokens", _TOKENS_MAX)),
        output_tokens=round(_number(known, "outputTokens", _TOKENS_MAX)),
        cost_micro_usd=round(_number(known, "costUsd", _DOLLARS_MAX) * _MICRO_PER_DOLLAR),
    )
    return None if usage == Usage() else usage


def _number(told: dict[str, Any], name: str, largest: float) -> float:
    value: object = told.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return value if 0 <= value <= largest else 0

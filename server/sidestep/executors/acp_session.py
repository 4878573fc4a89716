"""
One session with an ACP agent: its process, its connection, its turns, and their end.

Imports the SDK, which costs half a second: loaded by `acp_agent.py` in a thread, when an agent is first opened.
Owns the order of things: process -> initialize -> session -> turns -> end. Knows no journal and no schema.

A turn that is cut short gets `session/cancel` and `terminate_grace_s` to end; an agent that does, can be prompted
again, any other is ended with its whole group.

Invariant: whatever an agent does (dies, is silent, prints garbage, answers too much), a turn ends with a reply, with
`AgentFailed`, or with `Aborted`; only silence in mid-turn is waited for, since nobody can tell it from work.
Invariant: when `close` returned, no process, task or descriptor of the session is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar, cast

import acp
from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation
from pydantic import ValidationError

from sidestep.executors.acp_client import AcpClient
from sidestep.executors.acp_failures import AcpFailures
from sidestep.executors.acp_updates import AcpTurn, AcpUpdates, turn_usage
from sidestep.executors.acp_wire import AcpWire
from sidestep.executors.agent_files import AgentFiles
from sidestep.executors.agent_process import AgentProcess, start_agent
from sidestep.model.abort import Aborted, AbortKind
from sidestep.model.agents import AgentFailed, AgentReply
from sidestep.model.usage import AbortedWork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from acp.schema import InitializeResponse, PromptResponse

    from sidestep.executors.launch import Launch
    from sidestep.model.abort import AbortReason, AbortSignal
    from sidestep.model.agents import AgentTask
    from sidestep.model.ports import GroupLedger
    from sidestep.model.usage import Usage
    from sidestep.settings import Settings

T = TypeVar("T")

# What a dying agent still says, and how long its end may take to be seen.
LAST_WORDS_S = 0.5
# Some agents tell what a turn cost after they answered it.
LATE_USAGE_S = 0.1


class AcpSession:
    """An opened agent; see `AgentSession`. Get one from `open_session`."""

    def __init__(
        self,
        process: AgentProcess,
        wire: AcpWire,
        client: AcpClient,
        updates: AcpUpdates,
        failures: AcpFailures,
        settings: Settings,
    ) -> None:
        self._process = process
        self._wire = wire
        self._client = client
        self._updates = updates
        self._failures = failures
        self._answer_s = settings.agent_start_s
        self._cancel_s = settings.terminate_grace_s
        self._turn_end_s = settings.agent_turn_end_s
        self._answer_bytes_max = settings.agent_answer_bytes_max
        self._logins: list[str] = []
        self._is_idle = False
        self._closing = asyncio.Lock()
        # The wire lets only those requests through that the client has a callback for.
        self._connection = acp.connect_to_agent(cast("acp.Client", client), wire)
        self._watching = asyncio.ensure_future(self._end_wire())

    @property
    def can_go_on(self) -> bool:
        """See `AgentSession.can_go_on`."""
        return self._is_idle and self._process.is_running and self._wire.problem is None

    async def begin(self, cwd: str, earlier_session: str | None, keep_session: Callable[[str], None]) -> None:
        """
        Greet the agent and get a session: the earlier one when the agent can load it, else a new one.

        Raises:
            AgentFailed: it does not answer in time, speaks another version, wants a login, is gone.
        """
        greeting = await self._answered(
            self._connection.initialize(
                protocol_version=acp.PROTOCOL_VERSION,
                client_capabilities=ClientCapabilities(
                    fs=FileSystemCapabilities(read_text_file=True, write_text_file=True)
                ),
                client_info=Implementation(name="sidestep", title="Sidestep", version="1"),
            ),
            "initialize",
        )
        if greeting.protocol_version != acp.PROTOCOL_VERSION:
            raise self._failures.infrastructure(
                f"speaks version {greeting.protocol_version} of the Agent Client Protocol, and Sidestep speaks version "
                f"{acp.PROTOCOL_VERSION}; use a version of the agent that speaks it too"
            )
        self._logins = [method.name for method in greeting.auth_methods or []]
        if earlier_session is None or not await self._load(greeting, cwd, earlier_session):
            new = await self._answered(self._connection.new_session(cwd=cwd, mcp_servers=[]), "session/new")
            self._updates.session_id = new.session_id
            keep_session(new.session_id)
        self._updates.cost_before()
        self._is_idle = True

    async def prompt(self, text: str, signal: AbortSignal) -> AgentReply:
        """See `AgentSession.prompt`."""
        signal.throw_if_aborted()
        turn = AcpTurn(self._answer_bytes_max)
        self._updates.turn, self._client.signal, self._is_idle = turn, signal, False
        request = asyncio.ensure_future(
            self._connection.prompt(session_id=self._session_id, prompt=[acp.text_block(text)])
        )
        fired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        unlisten = signal.listen(lambda _: fired.set_result(None))
        try:
            await asyncio.wait([request, fired, turn.too_long, turn.trouble], return_when=asyncio.FIRST_COMPLETED)
            if turn.trouble.done():
                raise turn.trouble.result()
            if request.done():
                return await self._reply(request, turn)
            if turn.too_long.done():
                raise self._too_long()
            assert signal.reason is not None, "the signal fired"
            await self._cut_short(request, signal.reason)
            used = self._used(request)
            raise Aborted(signal.reason) if used is None else AbortedWork(signal.reason, used)
        except AgentFailed as failed:
            failed.usage = self._used(request)
            raise
        finally:
            unlisten()
            self._updates.turn, self._client.signal = None, None
            request.cancel()
            await asyncio.wait([request])
            if not request.cancelled():
                request.exception()

    async def close(self) -> None:
        """See `AgentSession.close`."""
        async with self._closing:
            try:
                await self._process.end(gently=self._is_idle)
            finally:
                self._is_idle = False
                self._watching.cancel()
                # In a task: the SDK's own wait for its tasks would swallow a cancellation of ours.
                closing = asyncio.ensure_future(self._connection.close())
                await asyncio.wait([closing, self._watching])

    @property
    def _session_id(self) -> str:
        assert self._updates.session_id is not None, "the session was begun"
        return self._updates.session_id

    async def _load(self, greeting: InitializeResponse, cwd: str, session_id: str) -> bool:
        """Go on with an earlier session; False when the agent does not offer it, or no longer has it."""
        capabilities = greeting.agent_capabilities
        if capabilities is None or not capabilities.load_session:
            return False
        self._updates.session_id = session_id
        try:
            await self._answered(
                self._connection.load_session(cwd=cwd, session_id=session_id, mcp_servers=[]), "session/load"
            )
        except AgentFailed:
            self._updates.session_id = None
            if not self._process.is_running or self._wire.problem is not None:
                raise
            return False
        return True

    async def _answered(self, answer: Awaitable[T], method: str) -> T:
        """Wait for an answer that should not take long. Raises AgentFailed whatever is wrong with it."""
        try:
            async with asyncio.timeout(self._answer_s):
                return await answer
        except TimeoutError as error:
            raise self._failures.infrastructure(
                f"did not answer {method} within {self._answer_s:g} s; is it an agent of the Agent Client Protocol?"
                + self._last_words()
            ) from error
        except (acp.RequestError, ValidationError, ConnectionError) as error:
            raise await self._why(error, f"at {method}") from error

    async def _reply(self, request: asyncio.Future[PromptResponse], turn: AcpTurn) -> AgentReply:
        try:
            response = request.result()
        except (acp.RequestError, ValidationError, ConnectionError) as error:
            failed = await self._why(error, "in its turn")
            self._is_idle = isinstance(error, acp.RequestError)
            raise failed from error
        self._is_idle = True
        if not turn.is_told_cost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATE_USAGE_S):
                    await turn.is_told_cost.wait()
        if turn.too_long.done():
            raise self._too_long()
        if response.stop_reason != "end_turn":
            raise self._failures.stopped(response.stop_reason, turn.refused, turn.text)
        return AgentReply(turn.text, usage=self._used(request))

    def _used(self, request: asyncio.Future[PromptResponse]) -> Usage | None:
        """What a turn used that is over, however it ended, as far as the agent told."""
        is_answered = request.done() and not request.cancelled() and request.exception() is None
        told = request.result().usage if is_answered else None
        cost_micro_usd = self._updates.cost_of_turn_micro_usd()
        return turn_usage(told and told.input_tokens, told and told.output_tokens, cost_micro_usd)

    async def _cut_short(self, request: asyncio.Future[PromptResponse], reason: AbortReason) -> None:
        """Ask the agent to stop; end it when it does not. One that is to report what it has is given longer."""
        patience_s = self._turn_end_s if reason.kind is AbortKind.TIMEOUT else self._cancel_s
        with contextlib.suppress(ConnectionError):
            await self._connection.cancel(session_id=self._session_id)
            await asyncio.wait([request], timeout=patience_s)
        if request.done() and not isinstance(request.exception(), ConnectionError):
            self._is_idle = True
        if not self.can_go_on:
            await self.close()

    async def _why(self, error: Exception, doing: str) -> AgentFailed:
        """What went wrong with a request, as far as can be known."""
        if self._wire.problem is not None:
            return self._failures.infrastructure(self._wire.problem + self._last_words())
        if isinstance(error, acp.RequestError):
            return self._failures.answered_error(doing, error.code, str(error), error.data, self._logins)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return self._failures.infrastructure(
                f"answered {doing} what the Agent Client Protocol does not know: {where}: {first['msg']}"
            )
        child = self._process.child
        await asyncio.wait([child.exited], timeout=LAST_WORDS_S)
        if not child.exited.done():
            return self._failures.ended(doing, None, child.stderr.text())
        await child.drained_within(LAST_WORDS_S)
        return self._failures.ended(doing, await child.wait(), child.stderr.text())

    def _too_long(self) -> AgentFailed:
        return self._failures.limit(f"answered with more than {self._answer_bytes_max} bytes; ask for less")

    def _last_words(self) -> str:
        said = self._process.child.stderr.text().strip()
        return f"\n{said}" if said else ""

    async def _end_wire(self) -> None:
        """End the wire when its output has ended, or its process, after a moment for what is still in the pipe."""
        child = self._process.child
        await asyncio.wait([child.exited, child.stdout_ended], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([child.stdout_ended], timeout=LAST_WORDS_S)
        self._wire.end()


async def open_session(
    name: str,
    launch: Launch,
    task: AgentTask,
    signal: AbortSignal,
    settings: Settings,
    ledger: GroupLedger,
    sleep: Callable[[float], Awaitable[None]],
) -> AcpSession:
    """
    Start an agent and get it ready to be prompted.

    Raises:
        Aborted: the signal fired, and nothing is left.
        AgentFailed: it cannot be started, or is no agent to work with; nothing is left.
    """
    updates = AcpUpdates(task.emit, task.told)
    client = AcpClient(AgentFiles(task.cwd, settings.agent_answer_bytes_max), updates, task.permit)

    def write(data: bytes) -> int:
        # Nothing is written before the process stands.
        return process.write(data)

    wire = AcpWire(write, updates.take, client.withdraw, lambda data: task.emit("stdout", data))
    process = await start_agent(launch, task, signal, ledger, settings.terminate_grace_s, sleep, take_output=wire.feed)
    session = AcpSession(
        process,
        wire,
        client,
        updates,
        AcpFailures(name, launch.argv[0], task.step_id, settings.failure_message_chars_max),
        settings,
    )
    try:
        await signal.race(session.begin(launch.cwd, task.session, task.keep_session))
    except BaseException:
        await session.close()
        raise
    return session

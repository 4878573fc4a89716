"""
What an ACP agent may ask of us: permissions, and files below its folder.

The callbacks of the SDK's connection; imports the SDK, so only `acp_session.py` may import it. Terminals are not
offered (`acp_wire.py` answers for them). Owns the questions that are open; knows no process.
Invariants: no callback raises anything but what the SDK answers with; none is done before its file work is.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

from acp import (
    ReadTextFileResponse,
    RequestError,
    RequestPermissionResponse,
    WriteTextFileResponse,
)
from acp.schema import AllowedOutcome, DeniedOutcome

from sidestep.executors.agent_files import AgentFiles, FileRefused
from sidestep.model.abort import Aborted, AbortSignal
from sidestep.model.agents import PermissionOption, PermissionRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from acp.schema import PermissionOption as AcpOption
    from acp.schema import ToolCallUpdate

    from sidestep.executors.acp_updates import AcpTurn, AcpUpdates

T = TypeVar("T")

_DETAIL_CHARS_MAX = 4000
# What a person can choose from, and reads; a question is durable and goes to the host in one message.
_OPTIONS_MAX = 20
_OPTION_CHARS_MAX = 200


class AcpClient:
    """
    The client side of one connection.

    Attributes:
        signal: That of the turn that goes on; None between turns, when nothing is permitted.

    Args:
        permit: See `AgentTask.permit`.
    """

    def __init__(
        self,
        files: AgentFiles,
        updates: AcpUpdates,
        permit: Callable[[PermissionRequest], Awaitable[str | None]],
    ) -> None:
        self._files = files
        self._updates = updates
        self._permit = permit
        self._asking: dict[object, asyncio.Task[str | None]] = {}
        self.signal: AbortSignal | None = None

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[AcpOption], request_id: object = None
    ) -> RequestPermissionResponse:
        """Ask for a permission; a refusal without an option, and an abort, are answered as cancelled."""
        call = tool_call.model_dump(mode="json", by_alias=True, exclude_none=True)
        title, turn = self._updates.tool_title(call) or "use a tool", self._updates.turn
        if call.get("kind", "other") != "other" and call["kind"] not in title:
            # Some agents give only the file, or only the command.
            title = f"{call['kind']}: {title}"
        offered = [option for option in options if len(option.option_id) <= _OPTION_CHARS_MAX][:_OPTIONS_MAX]
        request = PermissionRequest(
            title,
            _detail(call),
            tuple(
                PermissionOption(option.option_id, option.name[:_OPTION_CHARS_MAX], option.kind) for option in offered
            ),
        )
        chosen = await self._ask(request, request_id, turn)
        kinds = {option.option_id: option.kind for option in options}
        is_refused = chosen is None or kinds.get(chosen, "reject_once").startswith("reject")
        if turn is not None and is_refused:
            turn.refused = title
        if chosen is None or chosen not in kinds:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen))

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, request_id: object = None
    ) -> ReadTextFileResponse:
        return ReadTextFileResponse(content=await _in_thread(lambda: self._files.read(path, line, limit)))

    async def write_text_file(
        self, session_id: str, path: str, content: str, request_id: object = None
    ) -> WriteTextFileResponse:
        await _in_thread(lambda: self._files.write(path, content))
        return WriteTextFileResponse()

    def withdraw(self, request_id: object) -> None:
        """The agent does not want this question answered any more."""
        asking = self._asking.get(request_id) if isinstance(request_id, int | str) else None
        if asking is not None:
            asking.cancel()

    async def _ask(self, request: PermissionRequest, request_id: object, turn: AcpTurn | None) -> str | None:
        signal = self.signal
        if signal is None or signal.is_aborted:
            return None
        # A task of its own: `withdraw` cancels the question and not its answer.
        asking = asyncio.ensure_future(signal.race(self._permit(request)))
        self._asking[request_id] = asking
        try:
            await asyncio.wait([asking])
        finally:
            self._asking.pop(request_id, None)
            if not asking.done():
                asking.cancel()
                await asyncio.wait([asking])
        if asking.cancelled():
            return None
        error = asking.exception()
        if error is None:
            return asking.result()
        is_told_already = isinstance(error, Aborted) or turn is None or turn.trouble.done()
        if isinstance(error, Exception) and turn is not None and not is_told_already:
            # Ours to fail with, and the turn's: the agent only hears that nothing is permitted.
            turn.trouble.set_result(error)
        return None


def _detail(call: dict[str, Any]) -> str | None:
    """What a tool call is about, for people: its text, its files, its input."""
    lines: list[str] = []
    for item in call.get("content", ()):
        text = item.get("content", {}).get("text") if item.get("type") == "content" else None
        if text:
            lines.append(str(text))
        elif item.get("type") == "diff":
            lines.append(f"changes {item.get('path')}")
    lines += [f"at {location.get('path')}" for location in call.get("locations", ())]
    if call.get("rawInput"):
        lines.append(json.dumps(call["rawInput"], ensure_ascii=False))
    detail = "\n".join(lines)
    return detail[:_DETAIL_CHARS_MAX] or None


async def _in_thread(work: Callable[[], T]) -> T:
    """Do file work in a thread, and see it end even when cancelled: nothing is written after the session is closed."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.wait([working])
    except asyncio.CancelledError:
        await asyncio.wait([working])
        working.exception()
        raise
    try:
        return working.result()
    except FileRefused as refused:
        raise RequestError(-32602, str(refused)) from refused

"""
What an ACP agent may ask of us: permissions, and files below its folder.

The callbacks of the SDK's connection; imports the SDK, so only `acp_session.py` may import it. Terminals are not
offered (`acp_wire.py` answers for them). Owns the questions that are open; knows no process.
A file is written under the same policy as everything else that an agent asks for.
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
# Of one tool call.
_FILES_MAX = 20
_INVALID_PARAMS = -32602
_ONCE, _ALWAYS = "once", "always"
_WRITE_OPTIONS = (
    PermissionOption(_ONCE, "Write it", "allow_once"),
    PermissionOption(_ALWAYS, "Write it, and all that this step writes", "allow_always"),
    PermissionOption("no", "Do not write it", "reject_once"),
)


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
        # A person said "always" to an edit of this session.
        self._may_write_all = False
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
        kind = "reject_once" if chosen is None else kinds.get(chosen, "reject_once")
        if turn is not None and kind.startswith("reject"):
            turn.refused = title
        elif turn is not None:
            self._permitted(call, kind, turn)
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
        """Write a file, if the policy or a person permits it; what was permitted as a tool call is not asked again."""
        await _in_thread(lambda: self._files.require_inside(path))
        if not await self._may_write(path, content, request_id):
            raise RequestError(_INVALID_PARAMS, f"writing {path} is not permitted")
        await _in_thread(lambda: self._files.write(path, content))
        return WriteTextFileResponse()

    def withdraw(self, request_id: object) -> None:
        """The agent does not want this question answered any more."""
        asking = self._asking.get(request_id) if isinstance(request_id, int | str) else None
        if asking is not None:
            asking.cancel()

    async def _may_write(self, path: str, content: str, request_id: object) -> bool:
        turn, name = self._updates.turn, self._files.named(path)
        if turn is None:
            return False
        if self._may_write_all:
            return True
        if name in turn.writable:
            turn.writable.discard(name)
            return True
        title = f"write {path}"
        detail = f"{name}\n\n{content}"[:_DETAIL_CHARS_MAX]
        chosen = await self._ask(PermissionRequest(title, detail, _WRITE_OPTIONS), request_id, turn)
        self._may_write_all = chosen == _ALWAYS
        if chosen in (_ONCE, _ALWAYS):
            return True
        turn.refused = title
        return False

    def _permitted(self, call: dict[str, Any], kind: str, turn: AcpTurn) -> None:
        """Some agents ask for an edit and then have us do it: a person is asked once."""
        if call.get("kind") != "edit":
            return
        self._may_write_all = self._may_write_all or kind == "allow_always"
        turn.writable |= {self._files.named(path) for path in _changed_files(call)[:_FILES_MAX]}

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


def _changed_files(call: dict[str, Any]) -> list[str]:
    """The files that a tool call for an edit names."""
    diffs = [item.get("path") for item in call.get("content", ()) if item.get("type") == "diff"]
    named = [*diffs, *(location.get("path") for location in call.get("locations", ()))]
    return [path for path in named if isinstance(path, str)]


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
        raise RequestError(_INVALID_PARAMS, str(refused)) from refused

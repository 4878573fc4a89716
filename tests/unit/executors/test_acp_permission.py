"""W25: what an agent asks permission with is for people: bounded, whatever it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acp.schema import PermissionOption, ToolCallUpdate

from sidestep.executors.acp_client import AcpClient
from sidestep.executors.acp_updates import AcpUpdates
from sidestep.executors.agent_files import AgentFiles
from sidestep.model.abort import AbortController

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.agents import PermissionRequest


async def test_w25_a_flood_of_options_is_cut_and_the_chosen_one_still_told(tmp_path: Path) -> None:
    """A question is durable, and goes to the host in one message."""
    asked: list[PermissionRequest] = []

    async def permit(request: PermissionRequest) -> str:
        asked.append(request)
        return request.options[0].option_id

    client = AcpClient(AgentFiles(str(tmp_path), 100), AcpUpdates(lambda *_: None, lambda _: None), permit)
    client.signal = AbortController().signal
    options = [PermissionOption(option_id="i" * 5000, name="too long an id", kind="allow_once")]
    options += [PermissionOption(option_id=f"id-{n}", name="n" * 10_000, kind="allow_once") for n in range(2000)]
    call = ToolCallUpdate(tool_call_id="1", title="t" * 10_000, raw_input="x" * 100_000)
    answer = await client.request_permission("s", call, options)
    assert answer.model_dump(by_alias=True)["outcome"]["optionId"] == "id-0"
    (request,) = asked
    size = sum(len(option.option_id) + len(option.title) for option in request.options)
    assert size + len(request.title) + len(request.detail or "") < 20_000
    assert len(request.options) >= 10

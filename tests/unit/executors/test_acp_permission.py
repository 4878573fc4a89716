"""W25: what an agent asks permission with is for people: bounded, whatever it sends, and asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from acp import RequestError
from acp.schema import PermissionOption, ToolCallUpdate

from sidestep.executors.acp_client import AcpClient
from sidestep.executors.acp_updates import AcpTurn, AcpUpdates
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


class Asked:
    """A client whose person answers everything with an option of that kind."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.titles: list[str] = []
        updates = AcpUpdates(lambda *_: None, lambda _: None)
        self.turn = updates.turn = AcpTurn(1000)
        self.client = AcpClient(AgentFiles(str(folder), 10_000), updates, self._permit)
        self.client.signal = AbortController().signal

    async def _permit(self, request: PermissionRequest) -> str | None:
        self.titles.append(request.title)
        return next((option.option_id for option in request.options if option.kind == self.kind), None)

    async def asks_to(self, kind: str, *files: str) -> None:
        options = [
            PermissionOption(option_id=word, name=word, kind=word)
            for word in ("allow_once", "allow_always", "reject_once")
        ]
        named = [{"path": str(self.folder / file)} for file in files]
        call = ToolCallUpdate.model_validate({"toolCallId": "1", "title": kind, "kind": kind, "locations": named})
        await self.client.request_permission("s", call, options)

    async def writes(self, file: str) -> bool:
        path = self.folder / file
        path.unlink(missing_ok=True)
        try:
            await self.client.write_text_file("s", str(path), "text")
        except RequestError:
            assert not path.exists()
            return False
        return path.read_text() == "text"


@pytest.mark.parametrize(("kind", "may"), [("allow_once", True), ("reject_once", False)])
async def test_each_file_an_agent_writes_is_asked_for(tmp_path: Path, kind: str, may: bool) -> None:
    asked = Asked(tmp_path, kind)
    assert [await asked.writes("a.py"), await asked.writes("a.py")] == [may, may]
    assert asked.titles == [f"write {tmp_path / 'a.py'}"] * 2
    assert asked.turn.refused == (None if may else f"write {tmp_path / 'a.py'}")


async def test_an_edit_that_was_permitted_as_a_tool_call_is_not_asked_for_twice(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "allow_once")
    await asked.asks_to("edit", "a.py", "b.py")
    assert await asked.writes("b.py")
    assert asked.titles == ["edit"]
    assert await asked.writes("b.py")
    assert await asked.writes("c.py")
    assert asked.titles == ["edit", f"write {tmp_path / 'b.py'}", f"write {tmp_path / 'c.py'}"]


async def test_a_permission_to_read_or_one_that_was_refused_is_none_to_write(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "allow_once")
    await asked.asks_to("read", "a.py")
    asked.kind = "reject_once"
    await asked.asks_to("edit", "a.py")
    assert not await asked.writes("a.py")
    assert len(asked.titles) == 3


@pytest.mark.parametrize("first", ["a tool call", "a file"])
async def test_always_is_for_all_that_the_session_writes(tmp_path: Path, first: str) -> None:
    asked = Asked(tmp_path, "allow_always")
    await (asked.asks_to("edit", "a.py") if first == "a tool call" else asked.writes("a.py"))
    assert [await asked.writes(file) for file in ("a.py", "b.py")] == [True, True]
    assert len(asked.titles) == 1


async def test_between_turns_nothing_is_written(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "allow_always")
    assert await asked.writes("a.py")
    asked.client._updates.turn = None
    assert not await asked.writes("a.py")

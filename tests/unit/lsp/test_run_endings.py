"""How a plain editor's person hears that a run ended: once, by a question or a message, and only if it is news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.lsp.run_endings import RunEndings
from sidestep.model.events import JournalEvent, Logged, StatusChanged
from sidestep.model.ports import Committed
from sidestep.model.run import Attention, Failure, FailureCode, RunRecord, RunStatus
from sidestep.rpc.errors import PeerError, PeerGone
from tests.support.plain_editor import FakePeer, a_run, greeting

if TYPE_CHECKING:
    from sidestep.lsp.greeting import Greeting

SHOWS = {"window": {"showDocument": {"support": True}}}
REPORT = "file:///reports/run_1.md"
REFUSED = PeerError(-32601, "no such method")


class FakeReports:
    async def write(self, run: RunRecord) -> str | None:
        return REPORT


async def told(peer: FakePeer, greeted: Greeting, run: RunRecord, body: Any = None, *, mine: bool = True) -> FakePeer:
    """Have one commit told, and what follows from it done."""
    endings = RunEndings(peer, FakeReports(), lambda: greeted)  # type: ignore[arg-type]
    body = body or StatusChanged(status=run.status, epoch=1)
    endings.told(Committed(run, (JournalEvent(5, 1, body),), mine))
    await settled()
    endings.close()
    return peer


async def settled() -> None:
    """Until every task has come to where it waits for somebody else."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_end_is_a_question_that_opens_the_report() -> None:
    peer = FakePeer(window_showMessageRequest={"title": "Open report"}, window_showDocument={"success": True})
    await told(peer, greeting(**SHOWS), a_run())
    assert [method for method, _ in peer.sent] == ["window/showMessageRequest", "window/showDocument"]
    assert peer.of("window/showDocument") == [{"uri": REPORT, "external": False, "takeFocus": True}]


async def test_who_dismisses_the_question_sees_no_more() -> None:
    peer = await told(FakePeer(window_showMessageRequest=None), greeting(**SHOWS), a_run())
    assert [method for method, _ in peer.sent] == ["window/showMessageRequest"]


@pytest.mark.parametrize(
    ("run", "kind", "words"),
    [
        (a_run(), 3, "build completed"),
        (a_run(status=RunStatus.FAILED, error=Failure(FailureCode.STEP, "oh no")), 1, "build failed: oh no"),
        (a_run(status=RunStatus.INTERRUPTED, reason="deadline"), 2, "build interrupted (deadline)"),
    ],
    ids=["completed", "failed", "deadline"],
)
async def test_a_client_that_shows_no_document_is_told_where_to_look(run: RunRecord, kind: int, words: str) -> None:
    peer = await told(FakePeer(), greeting(window={}), run)
    ((method, params),) = peer.sent
    assert (method, params["type"]) == ("window/showMessage", kind)
    assert params["message"].startswith(words)
    assert params["message"].endswith("See it with: sidestep runs show run_1")


async def test_a_refused_question_becomes_a_message() -> None:
    peer = await told(FakePeer(window_showMessageRequest=REFUSED), greeting(**SHOWS), a_run())
    assert "sidestep runs show run_1" in peer.messages[0]


@pytest.mark.parametrize("answer", [REFUSED, {"success": False}])
async def test_a_document_that_is_not_shown_becomes_a_message(answer: Any) -> None:
    peer = FakePeer(window_showDocument=answer)
    await RunEndings(peer, FakeReports(), lambda: greeting(**SHOWS)).show(a_run())  # type: ignore[arg-type]
    assert "sidestep runs show run_1" in peer.messages[0]


async def test_a_client_that_is_gone_is_told_nothing() -> None:
    peer = await told(FakePeer(window_showMessageRequest=PeerGone()), greeting(**SHOWS), a_run())
    assert peer.messages == []


@pytest.mark.parametrize(
    "silent",
    [
        {"run": a_run(attention=Attention.BLOCKING)},
        {"run": a_run(status=RunStatus.INTERRUPTED, reason="user")},
        {"run": a_run(root_run_id="run_9", parent_run_id="run_9", depth=1)},
        {"run": a_run(), "mine": False},
        {"run": a_run(), "greeted": greeting(is_plain=False)},
        {"run": a_run(), "body": Logged(message="after the end")},
        {"run": a_run(status=RunStatus.RUNNING)},
    ],
    ids=["waited for", "by its person", "nested", "another process's", "a host of ours", "no change", "goes on"],
)
async def test_what_is_no_news_is_not_told(silent: dict[str, Any]) -> None:
    peer = await told(FakePeer(), silent.pop("greeted", greeting(window={})), **silent)
    assert peer.sent == []

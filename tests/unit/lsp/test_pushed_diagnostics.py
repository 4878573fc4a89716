"""D4 as one types: at once on opening, 150 ms after the last key, one check at a time, never out of order."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from sidestep.language.document import Document
from sidestep.lsp.pushed_diagnostics import PushedDiagnostics

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.language.document import Snapshot
    from sidestep.model.problems import ScriptProblem

URI = "file:///w/.sidestep/workflows/a.py"
PATH = "/w/.sidestep/workflows/a.py"


class FakeTimer:
    def __init__(self, delay_s: float, due: Callable[[], None]) -> None:
        self.delay_s = delay_s
        self.due = due
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Desk:
    """What was checked and told; checks can be held."""

    def __init__(self) -> None:
        self.timers: list[FakeTimer] = []
        self.checked: list[int | None] = []
        self.told: asyncio.Queue[int | None] = asyncio.Queue()
        self.began = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.may_end.set()
        self.pushed = PushedDiagnostics(self._diagnose, self._publish, self._call_later, debounce_s=0.5)
        self.document = Document(PATH, "x = 1\n", 1)

    def type(self, version: int) -> None:
        self.document.change(f"x = {version}\n", version)
        self.pushed.changed(URI)

    def pause(self) -> None:
        """The clock goes on: what is due happens."""
        due = [timer for timer in self.timers if not timer.is_cancelled]
        self.timers.clear()
        assert len(due) <= 1, "one timer for each document"
        for timer in due:
            assert timer.delay_s == 0.5
            timer.due()

    def _diagnose(self, snapshot: Snapshot) -> list[ScriptProblem]:
        self.checked.append(snapshot.version)
        self.began.release()
        assert self.may_end.wait(30)
        if snapshot.version == 13:
            raise ValueError("a check that fails")
        return []

    def _publish(self, uri: str, checked: tuple[Snapshot, list[ScriptProblem]] | None) -> None:
        assert uri == URI
        assert checked is None or checked[1] == []
        self.told.put_nowait(None if checked is None else checked[0].version)

    def _call_later(self, delay_s: float, due: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(delay_s, due))
        return self.timers[-1]


async def test_an_opened_document_is_checked_at_once_and_a_typed_one_after_the_pause() -> None:
    desk = Desk()
    desk.pushed.open(URI, desk.document)
    assert await desk.told.get() == 1
    for version in range(2, 9):
        desk.type(version)
    assert desk.checked == [1]
    desk.pause()
    assert await desk.told.get() == 8
    assert desk.checked == [1, 8]


async def test_what_was_typed_over_during_its_check_is_not_told() -> None:
    desk = Desk()
    desk.may_end.clear()
    desk.pushed.open(URI, desk.document)
    await asyncio.to_thread(desk.began.acquire)
    desk.type(2)
    desk.pause()
    assert desk.checked == [1], "one check at a time"
    desk.may_end.set()
    assert await desk.told.get() == 2
    assert desk.told.empty()


async def test_a_closed_document_is_told_empty_and_never_again() -> None:
    desk = Desk()
    desk.may_end.clear()
    desk.pushed.open(URI, desk.document)
    await asyncio.to_thread(desk.began.acquire)
    desk.type(2)
    desk.pushed.close(URI)
    assert await desk.told.get() is None
    assert desk.timers[0].is_cancelled
    desk.may_end.set()
    # Opened again, it is another document: what comes next is its own.
    desk.pushed.open(URI, Document(PATH, "y = 1\n", 7))
    assert await desk.told.get() == 7
    desk.pushed.close(URI)
    desk.pushed.close(URI)
    assert await desk.told.get() is None
    assert desk.told.empty()


async def test_a_check_that_fails_does_not_end_the_checking() -> None:
    desk = Desk()
    desk.pushed.open(URI, desk.document)
    assert await desk.told.get() == 1
    desk.type(13)
    desk.pause()
    await asyncio.to_thread(desk.began.acquire)
    await asyncio.to_thread(desk.began.acquire)
    desk.type(14)
    desk.pause()
    assert await desk.told.get() == 14


async def test_nothing_is_told_once_all_is_closed() -> None:
    desk = Desk()
    desk.may_end.clear()
    desk.pushed.open(URI, desk.document)
    await asyncio.to_thread(desk.began.acquire)
    desk.pushed.close_all()
    desk.may_end.set()
    assert desk.told.empty()

"""Events as NDJSON: every one, in order, once."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from sidestep.cli.event_lines import EventLines, stored_events
from sidestep.cli.plain import PlainLines
from sidestep.cli.run_view import RunView
from sidestep.lsp import convert
from tests.support.service_harness import ONE_STEP, Harness

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def printed(capsys: pytest.CaptureFixture[str]) -> list[int]:
    return [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]


async def test_live_events_are_printed_once_and_what_was_missed_is_caught_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Harness(tmp_path) as harness:
        record = await harness.completed(ONE_STEP)
        stored = await harness.store.read_events(record.run_id, after_sequence=0, limit=500)
        events = [convert.event(event, record) for event in stored]
        assert [event.sequence for event in events] == list(range(1, record.sequence + 1))

        lines = EventLines()
        lines.take(events[0])
        lines.take(events[0])
        lines.take(events[2])
        assert printed(capsys) == [1]
        await lines.catch_up(harness.store, record.run_id)
        assert printed(capsys) == list(range(2, record.sequence + 1))
        await lines.catch_up(harness.store, record.run_id)
        assert printed(capsys) == []


async def test_lines_begin_after_the_sequence_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Harness(tmp_path) as harness:
        record = await harness.completed(ONE_STEP)
        await EventLines(after_sequence=3).catch_up(harness.store, record.run_id)
    assert printed(capsys) == list(range(4, record.sequence + 1))


async def test_an_automatic_resume_is_told_with_what_was_kept(tmp_path: Path) -> None:
    """C2"""
    async with Harness(tmp_path) as harness:
        source = ONE_STEP.replace("return", 'await command(["true"], id="second")\n    return')
        task, run_id = await harness.running(source, "second")
        await harness.service.interrupt(run_id, by="test")
        await task
        harness.commands.held.clear()
        stopped = await harness.store.read(run_id)
        await harness.resume(run_id, automatic_from=stopped.epoch)
        stream = io.StringIO()
        lines = PlainLines(RunView("test", run_id), stream)
        async for event in stored_events(harness.store, run_id, stopped.sequence):
            lines.take(event)
    assert "log    Resumed by itself: 1 of 2 steps kept" in stream.getvalue().splitlines()

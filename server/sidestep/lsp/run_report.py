"""
A run's report as a Markdown file that an editor opens: the result or the failure, and the steps.

Owns the folder of these files, which the user alone may read: they are copies, made when somebody wants to look, and
the oldest are removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.language.lenses import state_text
from sidestep.model.errors import SidestepError
from sidestep.model.run import RunStatus
from sidestep.scripts.file_uri import uri_of_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sidestep.model.ports import Deleted
    from sidestep.model.run import RunRecord, StepRecord
    from sidestep.service.workflows import WorkflowService

log = logging.getLogger("sidestep.lsp")

# Files kept, the newest; steps listed in one of them.
REPORTS_MAX = 100
STEPS_MAX = 500


class RunReports:
    """The files of one store's reports, beside it."""

    def __init__(self, open_service: Callable[[], Awaitable[WorkflowService]]) -> None:
        self._open_service = open_service
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(self, run: RunRecord) -> str | None:
        """The URI of a file with the run's report as it is now; None when it cannot be made, which is logged."""
        try:
            service = await self._open_service()
            folder = await _folder(service)
            page = await service.store.read_steps(run.run_id, limit=STEPS_MAX)
            text = report_text(run, page.items)
            path = await asyncio.to_thread(_write, folder, run.run_id, text)
        except (OSError, SidestepError) as error:
            log.warning("%s: its report cannot be written: %s", run.run_id, error)
            return None
        return uri_of_path(str(path))

    def deleted(self, deleted: Deleted) -> None:
        """The listener: a run is gone, and its report goes with it."""
        task = asyncio.get_running_loop().create_task(self._remove(deleted.run_id), name="report")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def removed(self) -> None:
        """Wait until the reports of all runs that are gone are gone."""
        await asyncio.gather(*self._tasks)

    def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def _remove(self, run_id: str) -> None:
        try:
            path = await _folder(await self._open_service()) / _name(run_id)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except (OSError, SidestepError) as error:
            log.warning("%s: its report cannot be removed: %s", run_id, error)


async def _folder(service: WorkflowService) -> Path:
    return Path((await service.store.health())["storePath"]).parent / "reports"


def _name(run_id: str) -> str:
    return f"{run_id}.md"


def report_text(run: RunRecord, steps: Sequence[StepRecord]) -> str:
    """The report in Markdown."""
    parts = [f"# {run.name}: {run.status.value}", f"{state_text(run)}\n\n`{run.run_id}`"]
    if run.status is RunStatus.FAILED and run.error is not None:
        where = f"{run.error.file}:{run.error.line}: " if run.error.file and run.error.line else ""
        parts.append(f"## Error\n\n```text\n{where}{run.error.message}\n```")
    if run.result is not None and run.result.report is not None:
        parts.append(run.result.report)
    if run.result is not None and run.result.data_json is not None:
        parts.append(f"## Data\n\n```json\n{run.result.data_json}\n```")
    if run.result is not None and run.result.file is not None:
        parts.append(f"The result is large; it stands in {run.result.file}")
    if steps:
        parts.append("## Steps\n\n" + "\n".join(map(_step_line, steps)))
    if run.steps.known > len(steps):
        parts.append(f"{run.steps.known - len(steps)} more: `sidestep runs show {run.run_id}`")
    return "\n\n".join(parts) + "\n"


def _step_line(step: StepRecord) -> str:
    took = "" if step.ended_at_ms is None else f", {(step.ended_at_ms - step.started_at_ms) / 1000:.1f} s"
    why = "" if step.failure is None else ": " + step.failure.message.replace("\n", " ")
    return f"- `{step.step_id}` ({step.kind}): {step.status.value}{took}{why}"


def _write(folder: Path, run_id: str, text: str) -> Path:
    """Blocking. A reader sees the whole file or the one before."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, temporary = folder / _name(run_id), folder / f".{run_id}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "replace"))
    temporary.replace(path)
    files = sorted(folder.glob("run_*.md"), key=lambda each: (each != path, -_changed_at(each)))
    for old in files[REPORTS_MAX:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

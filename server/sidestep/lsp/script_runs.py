"""
The last runs of the scripts that the editor has open: what lenses, diagnostics and hovers say of runs.

Kept up to date by commits, whoever made them; read from the store once, when a script is opened. Lives on the event
loop's thread, but what it answers never changes, so any thread may read it. It must not know what is shown of it.

Invariant: nobody waits for the store longer than `script_runs_wait_s`; without a store there are no runs to speak of.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sidestep.language.document import Snapshot
from sidestep.language.surroundings import StepMemory, workspace_of
from sidestep.lsp.spawned_tasks import SpawnedTasks
from sidestep.model.errors import SidestepError
from sidestep.model.ports import RunFilter
from sidestep.model.run import RunStatus, StepStatus
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sidestep.lsp.plain_editor import PlainEditor
    from sidestep.model.ports import Committed, Deleted
    from sidestep.model.run import RunRecord, StepRecord
    from sidestep.service.workflows import WorkflowService
    from sidestep.settings import Settings

log = logging.getLogger("sidestep.lsp")

# Runs of one script that are looked at, the newest.
RUNS_MAX = 20
# Steps of a run that hovers know.
STEPS_MAX = 1000


@dataclass(frozen=True)
class FailedRun:
    """
    The failed run that a script's person should still hear of.

    Attributes:
        ran: The text that ran, read already: it may be another one than the script has now.
        report_uri: Where its report is.
    """

    run: RunRecord
    ran: Snapshot
    report_uri: str | None


@dataclass(eq=False)
class _Watched:
    """One open script."""

    runs: tuple[RunRecord, ...] = ()
    loading: asyncio.Task[None] | None = None
    failed: FailedRun | None = None
    # Of which run, and at which of its sequences, the steps are.
    steps: tuple[str, int, tuple[StepMemory, ...]] = ("", -1, ())


class Side(Protocol):
    """What is needed of the side of the connection that knows of runs."""

    @property
    def folders(self) -> Sequence[FolderKey]:
        """Those that are open: runs of the user's own scripts are looked for there."""
        ...

    @property
    def editor(self) -> PlainEditor: ...

    async def service(self) -> WorkflowService:
        """Raises SidestepError as long as the store cannot be opened."""
        ...


class ScriptRuns:
    """The runs of one connection's open scripts."""

    def __init__(
        self,
        load_side: Callable[[], Awaitable[Side]],
        settings: Settings,
    ) -> None:
        """
        Args:
            load_side: Asked when the first script is opened.
        """
        self._load_side = load_side
        self._side: Side | None = None
        self._wait_s = settings.script_runs_wait_s
        self._watched: dict[str, _Watched] = {}
        self._service: WorkflowService | None = None
        self._changed: Callable[[str, bool], object] = lambda _, __: None
        self._tasks = SpawnedTasks("script runs", "the runs of a script cannot be followed")

    def listen(self, changed: Callable[[str, bool], object]) -> None:
        """Have `changed` told the path of each open script of whose runs there is news, and whether of its problems."""
        self._changed = changed

    def watch(self, path: str) -> None:
        """A script was opened."""
        watched = self._watched[path] = _Watched()
        watched.loading = self._tasks.spawn(self._load(path, watched))

    def unwatch(self, path: str) -> None:
        watched = self._watched.pop(path, None)
        if watched is not None and watched.loading is not None:
            watched.loading.cancel()

    def close(self) -> None:
        self._watched.clear()
        self._tasks.close()

    def runs(self, path: str) -> tuple[RunRecord, ...]:
        """The runs of an open script as far as they are known now, newest first."""
        watched = self._watched.get(path)
        return () if watched is None else watched.runs

    def failed(self, path: str) -> FailedRun | None:
        """The last failed run of an open script, until it goes on or a newer one completes."""
        watched = self._watched.get(path)
        return None if watched is None else watched.failed

    def steps(self, path: str) -> tuple[StepMemory, ...]:
        """The steps of the last run as they were read last; see `steps_known`."""
        watched = self._watched.get(path)
        return () if watched is None else watched.steps[2]

    async def known(self, path: str) -> tuple[RunRecord, ...]:
        """As `runs`, after what was stored has been read, or could not be in time."""
        watched = self._watched.get(path)
        if watched is None:
            return ()
        if watched.loading is None and self._service is None:
            watched.loading = self._tasks.spawn(self._load(path, watched))
        if watched.loading is not None:
            await asyncio.wait({watched.loading}, timeout=self._wait_s)
        return watched.runs

    async def steps_known(self, path: str) -> None:
        """Read the steps of the last run, if they are not the ones that `steps` answers."""
        runs = await self.known(path)
        watched, service = self._watched.get(path), self._service
        if watched is None or service is None or not runs or watched.steps[:2] == (runs[0].run_id, runs[0].sequence):
            return
        reading = self._tasks.spawn(self._read_steps(service, watched, runs[0]))
        await asyncio.wait({reading}, timeout=self._wait_s)

    # -- What is told

    def told(self, committed: Committed) -> None:
        """The listener: one commit, told in order."""
        record = committed.record
        path = script_path(record) if record.is_root and self._watched else None
        watched = None if path is None else self._watched.get(path)
        if path is None or watched is None or not self._is_near(path, record):
            return
        others = [run for run in watched.runs if run.run_id != record.run_id]
        self._take(path, watched, [record, *others])

    def deleted(self, deleted: Deleted) -> None:
        """The listener: a run is gone."""
        for path, watched in list(self._watched.items()):
            if any(run.run_id == deleted.run_id for run in watched.runs):
                self._take(path, watched, [run for run in watched.runs if run.run_id != deleted.run_id])

    def _is_near(self, path: str, record: RunRecord) -> bool:
        folders = () if self._side is None else self._side.folders
        return workspace_of(path) is not None or FolderKey(record.folder) in folders

    def _take(self, path: str, watched: _Watched, runs: Sequence[RunRecord]) -> None:
        newest = sorted(runs, key=lambda run: (run.created_at_ms, run.run_id), reverse=True)[:RUNS_MAX]
        watched.runs = tuple(newest)
        failed = _still_failed(newest)
        known = watched.failed
        if failed is None:
            watched.failed = None
        elif known is None or (known.run.run_id, known.run.epoch) != (failed.run_id, failed.epoch):
            watched.failed = None
            self._tasks.spawn(self._read_failed(path, watched, failed))
        self._changed(path, watched.failed is not known)

    # -- What is stored

    async def _load(self, path: str, watched: _Watched) -> None:
        try:
            side, service = await self._attended()
            workspace = workspace_of(path)
            folders = [folder.path for folder in side.folders] if workspace is None else [workspace]
            name = os.path.basename(path).removesuffix(".py")
            found: list[RunRecord] = []
            for folder in folders:
                page = await service.store.list_runs(RunFilter(folder=folder, name=name), cursor=None, limit=RUNS_MAX)
                found += [run for run in page.items if script_path(run) == path]
        except SidestepError as error:
            log.info("the runs of a script cannot be read: %s", error)
        else:
            heard = {run.run_id for run in watched.runs}
            # What was told meanwhile is newer than what was read.
            self._take(path, watched, [*watched.runs, *(run for run in found if run.run_id not in heard)])
            # What serves runs is there now, and with it what agents there are.
            self._changed(path, True)
        finally:
            watched.loading = None

    async def _attended(self) -> tuple[Side, WorkflowService]:
        side = self._side = await self._load_side()
        service = await side.service()
        if self._service is not service:
            self._service = service
            service.listeners.listen(self.told)
            service.listeners.listen_deleted(self.deleted)
        return side, service

    async def _read_failed(self, path: str, watched: _Watched, run: RunRecord) -> None:
        try:
            side, service = await self._attended()
            source = await service.store.read_source(run.source_hash)
            ran = Snapshot(path, source, None)
            # Its calls are read here, in a thread, and kept: it is asked for them each time the script is checked.
            await asyncio.to_thread(lambda: ran.call_sites)
            report_uri = await side.editor.reports.write(run)
        except SidestepError as error:
            log.info("%s: what failed cannot be read: %s", run.run_id, error)
            return
        now = _still_failed(watched.runs)
        if now is not None and (now.run_id, now.epoch) == (run.run_id, run.epoch):
            watched.failed = FailedRun(run, ran, report_uri)
            self._changed(path, True)

    async def _read_steps(self, service: WorkflowService, watched: _Watched, run: RunRecord) -> None:
        try:
            page = await service.store.read_steps(run.run_id, limit=STEPS_MAX)
        except SidestepError as error:
            log.info("%s: its steps cannot be read: %s", run.run_id, error)
            return
        watched.steps = (run.run_id, run.sequence, tuple(_memory(step, run) for step in page.items))


def script_path(record: RunRecord) -> str | None:
    """The path of the script of a run; None for inline source."""
    if record.file is None or (record.file.startswith("<") and record.file.endswith(">")):
        return None
    return os.path.normpath(os.path.join(record.folder, record.file))


def _still_failed(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The newest failed run, unless a newer one ended well."""
    for run in runs:
        if run.status is RunStatus.FAILED:
            return run
        if run.status is RunStatus.COMPLETED:
            return None
    return None


def _memory(step: StepRecord, run: RunRecord) -> StepMemory:
    orphaned = step.status is StepStatus.STARTED and run.is_stopped
    status = StepStatus.INTERRUPTED if orphaned else step.status
    duration_ms = None if step.ended_at_ms is None else step.ended_at_ms - step.started_at_ms
    # A completed run is not gone on with: the next one does everything anew.
    is_reused = None if run.status is RunStatus.COMPLETED or run.is_active else step.has_output
    return StepMemory(step.step_id, status.value, duration_ms, is_reused)

"""
Results too large for a run's row: one file a run, named by the run.

Knows files, not runs. Blocking; called from the store's threads.

Invariant: the file is complete and durable before the commit that names it; a commit that never came leaves a file that
the next attempt replaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING

from sidestep.model.run import RunResult
from sidestep.store.faults import store_fault
from sidestep.store.outputs import sync_folder, write_durably

if TYPE_CHECKING:
    from pathlib import Path

_RUN_ID = re.compile(r"run_[a-z0-9]{1,64}")


class ResultFolder:
    """The folder of one store's result files; made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, run_id: str, result: RunResult) -> RunResult:
        """
        Store a result, durably: a JSON object `{"report"?, "data"?}`.

        Returns:
            The result as it stands on the row: its file alone.

        Raises:
            StoreUnavailable: the file cannot be written.
        """
        target = self.path(run_id)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            write_durably(temporary, result_text(result).encode("utf-8", "surrogatepass"))
            temporary.replace(target)
            sync_folder(self.folder)
        except OSError as error:
            raise store_fault(error, self.folder) from error
        return RunResult(file=str(target))

    def remove(self, run_id: str) -> None:
        """Delete a run's file, if it has one; one that cannot be deleted is left to be garbage."""
        with contextlib.suppress(OSError):
            self.path(run_id).unlink()

    def path(self, run_id: str) -> Path:
        assert _RUN_ID.fullmatch(run_id), "a run's id is a file name"
        return self.folder / f"{run_id}.json"


def result_text(result: RunResult) -> str:
    """A result as its file holds it."""
    report = {} if result.report is None else {"report": result.report}
    head = json.dumps(report, ensure_ascii=False)
    if result.data_json is None:
        return head
    return f'{head[:-1]}{", " if report else ""}"data": {result.data_json}}}'


def read_result_text(text: str) -> RunResult:
    """
    The result that `result_text` wrote.

    Raises:
        ValueError: the text is none.
    """
    fields = json.loads(text)
    data = json.dumps(fields["data"], ensure_ascii=False, separators=(",", ":")) if "data" in fields else None
    return RunResult(report=fields.get("report"), data_json=data)

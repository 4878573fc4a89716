"""
What was executed, told from the lines that the commands left: promise 2, F4, and who may go on with a crashed run.

A step may be executed once in each execution of its run, and never after its outcome; so it is repeated only when it
was in flight at a kill or an interrupt. One thing more is possible: a sidecar that was stopped (SIGSTOP) on the very
way to a command may begin it when it wakes, before it has seen that its run was taken over. That is counted by itself.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.processes import storm_workflow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.processes.journal_rules import Journal
    from tests.processes.storm_workflow import Line

# A sidecar that was woken has seen within this time that its run is another's; under the load of a test machine.
WAKING_MS = 5_000.0
# A command's parent when the sidecar died between its birth and its first word.
ORPHANED = 1


@dataclass
class Sidecar:
    """What the rules know of one sidecar, dead or alive."""

    name: str
    pid: int
    folders: frozenset[str]
    auto_resume: bool
    # Wall clock times at which it was woken after a SIGSTOP.
    woken_at_ms: list[float] = field(default_factory=list)


@dataclass
class WorkTally:
    """
    Attributes:
        repeats: Executions beyond a step's first.
        woken: Those of them that a woken sidecar began after its run was another's.
    """

    executions: int = 0
    repeats: int = 0
    woken: int = 0
    automatic: int = 0


class WorkAudit:
    """The executions of one workspace's runs against their journals."""

    def __init__(
        self, journals: Sequence[Journal], lines: Sequence[Line], sidecars: Sequence[Sidecar], tally: WorkTally
    ) -> None:
        self.tally = tally
        self._sidecars = {sidecar.pid: sidecar for sidecar in sidecars}
        self._roots = {journal.label: journal for journal in journals if journal.is_root}
        self._children = {journal.root_run_id: journal for journal in journals if not journal.is_root}
        self._lines: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            self._lines[line.run].append(line)

    def faults_of(self, root: Journal, *, flaky: bool) -> Iterator[str]:
        """What is wrong with the executions of one whole, completed tree."""
        steps: dict[str, list[Line]] = defaultdict(list)
        for line in self._lines[root.label]:
            steps[line.step].append(line)
        wanted = storm_workflow.steps_of(flaky=flaky)
        if set(steps) != wanted:
            yield f"executed {sorted(set(steps) ^ wanted)} differ from the workflow's steps"
        child = self._children.get(root.run_id)
        self.tally.automatic += sum(claim.get("how") == "automatic" for claim in root.claims)
        for step, executions in steps.items():
            journal = child if executions[0].is_childs else root
            if journal is None:
                yield f"{step} was executed and its nested run is not stored"
                continue
            self.tally.executions += len(executions)
            self.tally.repeats += len(executions) - 1
            yield from self._step_faults(journal, root, sorted(executions, key=lambda line: line.at_ms))

    def _step_faults(self, journal: Journal, root: Journal, executions: Sequence[Line]) -> Iterator[str]:
        taken: set[int] = set()
        for line in executions:
            what = f"{line.step} was executed by {self._name(line)}"
            claim = _claim_at(journal, line.at_ms)
            wrong = self._wrong_with(journal, line, claim, taken)
            if wrong is not None and self._was_woken(line):
                self.tally.woken += 1
                continue
            if wrong is not None:
                yield f"{what} {wrong}"
            elif claim is not None:
                taken.add(claim["sequence"])
            yield from self._stranger(what, line, root)

    def _wrong_with(self, journal: Journal, line: Line, claim: Mapping[str, Any] | None, taken: set[int]) -> str | None:
        if claim is None:
            return "before its run began"
        if claim["sequence"] in taken:
            return f"twice in the execution that began with event {claim['sequence']}"
        for event in journal.of_type("step"):
            over = event["stepId"] == line.step and event["status"] in ("completed", "failed")
            if not over or event["at_ms"] + 1 > line.at_ms:
                continue
            retried = any(
                later["sequence"] > event["sequence"] and later["at_ms"] <= line.at_ms and later.get("how") == "retry"
                for later in journal.claims
            )
            if event["status"] == "completed" or not retried:
                return f"{line.at_ms - event['at_ms']:.0f} ms after event {event['sequence']}: {event['status']}"
        return None

    def _stranger(self, what: str, line: Line, root: Journal) -> Iterator[str]:
        """D3, C2: only a window with the folder open conducts, and only one that wants to does so unasked."""
        if line.pid == ORPHANED:
            return
        sidecar = self._sidecars.get(line.pid)
        if sidecar is None:
            yield f"{what}, which is no sidecar of this store"
        elif root.folder not in sidecar.folders:
            yield f"{what}, which has not opened {root.folder}"
        else:
            claim = _claim_at(root, line.at_ms)
            if claim is not None and claim.get("how") == "automatic" and not sidecar.auto_resume:
                yield f"{what}, which resumes nothing unasked"

    def _was_woken(self, line: Line) -> bool:
        sidecar = self._sidecars.get(line.pid)
        return sidecar is not None and any(0 <= line.at_ms - at < WAKING_MS for at in sidecar.woken_at_ms)

    def _name(self, line: Line) -> str:
        sidecar = self._sidecars.get(line.pid)
        return f"{sidecar.name if sidecar else 'process'} ({line.pid})"


def _claim_at(journal: Journal, at_ms: float) -> dict[str, Any] | None:
    """The beginning of the execution that was under way then."""
    begun = [claim for claim in journal.claims if claim["at_ms"] <= at_ms]
    return begun[-1] if begun else None

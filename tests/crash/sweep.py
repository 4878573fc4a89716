"""
One crash after another over one store, and what must be true after each and at the end.

    with Nursery() as nursery:
        ground = Ground(folder, nursery)
        tally = ground.crash_through([Arm("before-commit", 7)], reference)

A server that dies must have died by SIGKILL; after it the store is read as it lies there (from a copy: whoever goes on
finds what the dead one left, its write-ahead log included). The next server marks the run interrupted, resumes it, and
in the end everything equals an uninterrupted run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.crash import crash_workflow
from tests.crash.fault_points import read_counts
from tests.crash.journal_audit import Journal, faults_of, read_journals, untold_truths
from tests.crash.person import People, Person
from tests.support.raw_client import ExpectationFailed, RawClient, Verdict, response_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.crash.servers import Nursery


@dataclass(frozen=True)
class Arm:
    """The server dies, or loses its lease, at one crossing (from 1) of a fault point."""

    point: str
    crossing: int
    effect: str = "kill"


@dataclass
class Tally:
    """What a sweep came to. A finished step that was lost or executed again is a fault, so none is counted."""

    deaths: int = 0
    # Steps that were in flight at a death and were therefore executed a second time.
    repeats: int = 0
    runs: int = 0
    # Questions that were answered; each was asked once.
    answers: int = 0

    def add(self, other: Tally) -> None:
        self.deaths += other.deaths
        self.repeats += other.repeats
        self.runs += other.runs
        self.answers += other.answers

    def __str__(self) -> str:
        return (
            f"{self.runs} runs killed {self.deaths} times: lost 0, repeated 0, executed twice in flight {self.repeats}"
            f"; {self.answers} questions answered: lost 0, asked again 0"
        )


@dataclass(frozen=True)
class Reference:
    """The uninterrupted run: its result as the host gets it, what each run of the tree said and finished."""

    result: Any
    said: dict[str, list[str]]
    finished: dict[str, list[str]]
    crossings: dict[str, int]


@dataclass
class _Death:
    """The store and the calls as a dead server left them: what was finished, and how often it had been executed."""

    finished: dict[str, int] = field(default_factory=dict[str, int])


class Ground:
    """One workspace folder with the crash workflow, one store, and the servers that come and go."""

    def __init__(self, folder: Path, nursery: Nursery | None = None) -> None:
        """`nursery` is needed for armed servers only; without one, servers are the real command."""
        self.workspace = folder / "workspace"
        self.store = folder / "store" / "store.sqlite"
        self._scratch = folder / "scratch"
        self._stopped = folder / "stopped"
        self._nursery = nursery
        self._servers = 0
        self._deaths: list[_Death] = []
        self._people = People()
        crash_workflow.lay_out(self.workspace)

    # -- Servers

    def serve(self, arm: Arm | None = None) -> RawClient:
        """A server on the store, initialized by nobody yet."""
        self._servers += 1
        if self._nursery is None:
            assert arm is None, "only a nursery arms servers"
            return RawClient.spawn(store=self.store)
        counts = self._counts_folder()
        counts.mkdir(parents=True)
        flags = [f"--counts={counts}"]
        if arm is not None:
            flags += [f"--point={arm.point}", f"--crossing={arm.crossing}", f"--effect={arm.effect}"]
            flags += [f"--stopped={self._stopped}"]
        return RawClient(self._nursery.command(*flags, "--", f"--store={self.store}"))

    def crossings(self) -> dict[str, int]:
        """How often the last server crossed each point."""
        return read_counts(str(self._counts_folder()))

    def _counts_folder(self) -> Path:
        return self._scratch / f"counts-{self._servers}"

    def initialize(self, client: RawClient) -> None:
        client.initialize(
            folders=[self.workspace], workflow={"events": True, "interaction": True}, options={"autoResume": False}
        )

    def go_on(self, client: RawClient) -> int:
        """Start the run, or resume the one that is there, and answer what it asks; returns the request's id."""
        person = Person(client, f"server {self._servers}")
        runs = client.result("workflow/list")["runs"]
        assert len(runs) <= 1, f"one run was started, and there are {len(runs)}"
        wanted = {"events": True, "workDoneToken": "progress"}
        if not runs:
            script = {"name": crash_workflow.NAME}
            self._people.join(person)
            return client.request("workflow/start", {"script": script, "args": crash_workflow.arguments(), **wanted})
        # C2: whoever lists sees no run that a dead server still runs.
        assert runs[0]["status"] in ("interrupted", "completed"), f"a dead server's run is shown as {runs[0]}"
        waiting = self._people.waiting(client, runs[0]["runId"])
        self._people.join(person)
        # P7: what was asked before is answered while the run is stopped, or when it goes on.
        early = waiting if self._servers % 2 else []
        for interaction_id in early:
            client.expect(response_to(person.answer(interaction_id)))
        number = client.request("workflow/resume", {"runId": runs[0]["runId"], **wanted})
        for interaction_id in waiting:
            person.answer(interaction_id)
        return number

    # -- Crashing

    def crash_through(self, arms: Sequence[Arm], reference: Reference) -> Tally:
        """
        Let one armed server after another conduct the run until it dies, then one that lives; check everything.

        Returns:
            The tally; its `deaths` is less than the arms when the run survived one of them.
        """
        tally = Tally(runs=1)
        for arm in arms:
            with self.serve(arm) as client:
                if self.conduct(client) is not None:
                    break
                tally.deaths += 1
                self.check_death(client)
        outcome = self.survive()
        tally.repeats = self.check_end(outcome, reference)
        tally.answers = len(crash_workflow.ASKING)
        return tally

    def conduct(self, client: RawClient, ready: Callable[[], object] = bool) -> dict[str, Any] | None:
        """
        Start or resume the run.

        Args:
            ready: Called when the server is initialized.

        Returns:
            The outcome the host is given, or None when the server was killed first.
        """
        try:
            return self._outcome(client, ready)
        except (ExpectationFailed, BrokenPipeError) as failed:
            unmeetable = not isinstance(failed, ExpectationFailed) or failed.verdict is Verdict.UNMEETABLE
            if not unmeetable or client.exit_code() != -signal.SIGKILL:
                raise
            return None

    def _outcome(self, client: RawClient, ready: Callable[[], object] = bool) -> dict[str, Any]:
        self.initialize(client)
        ready()
        answer = client.expect(response_to(self.go_on(client)))
        assert "result" in answer, f"answered {answer['error']}"
        return dict(answer["result"])

    def survive(self) -> dict[str, Any]:
        """Conduct the run to its end in a server that nobody kills; returns the outcome the host was given."""
        with self.serve() as client:
            outcome = self.conduct(client)
            assert outcome is not None, f"nobody killed this server\n{client.stderr[-4000:]}"
            assert client.shut_down() == 0
            self._check_told(client)
        return outcome

    def lose_lease(self, arm: Arm, reference: Reference) -> Tally:
        """
        Let an armed server conduct the run until another window interrupts it, a second server resume it; check
        everything. Nothing the first one still does may change what the second one does.

        Returns:
            The tally; `deaths` counts lost leases.
        """
        tally = Tally(runs=1)
        with self.serve(arm) as first:
            outcome = self._outcome(first)
            if outcome["status"] != "completed":
                assert (outcome["status"], outcome["reason"]) == ("interrupted", "user"), outcome
                tally.deaths += 1
            with self.serve() as second:
                final = self._outcome(second)
                assert second.shut_down() == 0
            assert first.shut_down() == 0
        self._check_told(first)
        self._check_told(second)
        tally.repeats = self.check_end(final, reference)
        tally.answers = len(crash_workflow.ASKING)
        return tally

    def stall(self, arm: Arm, reference: Reference) -> Tally:
        """
        Let an armed server lose its lease and stand still, a second one take over and end the run, then wake the first.

        Returns:
            The tally; `deaths` counts the stall.
        """
        os.mkfifo(self._stopped)
        with self.serve(arm) as first:
            self.initialize(first)
            request = self.go_on(first)
            pid = int(self._stopped.read_text())
            try:
                with self.serve() as second:
                    final = self._outcome(second)
                    assert second.shut_down() == 0
                before = self.journals()
            finally:
                os.kill(pid, signal.SIGCONT)
            # It tells the run as it finds it.
            answer = first.expect(response_to(request))
            assert answer["result"]["status"] in ("interrupted", "completed"), answer
            told = answer["result"].get("result")
            assert told is None or crash_workflow.without_answers(told) == reference.result, answer
            assert first.shut_down() == 0
        assert self.journals() == before, "what woke up changed what was over"
        self._check_told(first)
        self._check_told(second)
        return Tally(deaths=1, repeats=self.check_end(final, reference), runs=1, answers=len(crash_workflow.ASKING))

    # -- What must be true

    def journals(self) -> list[Journal]:
        """The store as it lies there; no server may be writing."""
        copy = self._scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        if not self.store.exists():
            return []
        copy.mkdir(parents=True)
        for suffix in "", "-wal":
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self.store.with_name(self.store.name + suffix), copy)
        return read_journals(copy / self.store.name)

    def check_death(self, client: RawClient) -> None:
        """After a SIGKILL: nothing told that is not stored (G1), nothing executed before what it follows from is."""
        client.wait_stdout_end()
        journals = self._check_journals()
        faults = untold_truths(journals, client.messages) + self._people.faults(journals)
        finished = {step_id for journal in journals for step_id in journal.finished}
        calls = crash_workflow.calls_of(self.workspace)
        for step_id in calls:
            missing = set(crash_workflow.BEFORE[step_id]) - finished
            if missing:
                faults.append(f"{step_id} was executed before {sorted(missing)} was durable")
        for death in self._deaths:
            if lost := set(death.finished) - finished:
                faults.append(f"finished steps were lost: {sorted(lost)}")
        assert not faults, "\n".join(faults)
        self._deaths.append(_Death({step_id: calls.get(step_id, 0) for step_id in finished}))

    def check_end(self, outcome: dict[str, Any], reference: Reference) -> int:
        """
        The run is over: it equals the uninterrupted one.

        Returns:
            How many steps were executed more than once, in flight at a death.
        """
        journals = self._check_journals()
        assert outcome["status"] == "completed", outcome
        result = crash_workflow.without_answers(outcome["result"])
        assert result == reference.result, "the result differs from the uninterrupted run's"
        by_name = {journal.record["name"]: list(journal.answers.values()) for journal in journals}
        said = {name: [answer] for name, answer in crash_workflow.answers_in(outcome["result"]).items()}
        assert said == by_name, "the scripts got other answers than are recorded"
        observed = _reference(outcome, journals, {})
        assert observed.finished == reference.finished
        assert observed.said == reference.said
        assert crash_workflow.overlaps_of(self.workspace) == [], "two copies of a step's work ran at once (F4)"
        faults, repeats = self._execution_faults(journals)
        faults += self._people.faults(journals)
        assert not faults, "\n".join(faults)
        return repeats

    def _check_journals(self) -> list[Journal]:
        journals = self.journals()
        faults = [fault for journal in journals for fault in faults_of(journal)]
        assert not faults, "\n".join([*faults, *(json.dumps(e) for j in journals for e in j.events)])
        assert sum(journal.parent_run_id is None for journal in journals) <= 1, "the run exists twice"
        return journals

    def _check_told(self, client: RawClient) -> None:
        client.wait_stdout_end()
        faults = untold_truths(self.journals(), client.messages)
        assert not faults, "\n".join(faults)

    def _execution_faults(self, journals: list[Journal]) -> tuple[list[str], int]:
        calls = crash_workflow.calls_of(self.workspace)
        faults = []
        if set(calls) != set(crash_workflow.BEFORE):
            faults.append(f"executed {sorted(calls)}, and the workflow has {sorted(crash_workflow.BEFORE)}")
        for death in self._deaths:
            for step_id, count in death.finished.items():
                if calls.get(step_id, 0) != count:
                    faults.append(f"{step_id} was finished at a death, and was executed again")
        for journal in journals:
            for step_id, sequence in journal.finished.items():
                executions = journal.claims_before(sequence)
                if calls.get(step_id, 1) > executions:
                    faults.append(f"{step_id} was executed {calls[step_id]} times in {executions} executions")
        return faults, sum(count - 1 for count in calls.values())


def reference_run(ground: Ground) -> Reference:
    """The uninterrupted run, checked as all others are."""
    outcome = ground.survive()
    reference = _reference(outcome, ground.journals(), ground.crossings())
    assert ground.check_end(outcome, reference) == 0, "nobody died, and a step was executed twice"
    return reference


def _reference(outcome: dict[str, Any], journals: list[Journal], crossings: dict[str, int]) -> Reference:
    return Reference(
        result=crash_workflow.without_answers(outcome["result"]),
        said={journal.record["name"]: journal.said for journal in journals},
        finished={journal.record["name"]: sorted(journal.finished) for journal in journals},
        crossings=crossings,
    )

"""What must be true of a simulated world: at every moment, at rest, and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.run import RunRecord, RunStatus, loads
from tests.sim.journal_rules import check_journal, check_owner
from tests.sim.workflows import WORKFLOWS, Outcomes, version_of

if TYPE_CHECKING:
    from sidestep.store.memory_journal import StoredRun
    from tests.sim.outside import Execution
    from tests.sim.window import Window
    from tests.sim.world import World


def check_always(world: World) -> None:
    """Between any two turns of the event loop."""
    world.archive.catch_up()
    assert not world.outside.broken, world.outside.broken[0]
    runs = world.journal.runs
    world.archive.questions.check(runs)
    start_keys: set[str] = set()
    for run_id, run in runs.items():
        record = run.record
        assert world.archive.rows[run_id] == record, f"{run_id} changed, and nobody was told"
        check_journal(record, world.archive.events[run_id])
        check_owner(record, runs[record.root_run_id].record)
        if record.start_key is not None:
            assert record.start_key not in start_keys, f"two runs of {record.start_key}"
            start_keys.add(record.start_key)
        if record.status is RunStatus.COMPLETED:
            check_result(world, run)
    for window in world.windows:
        _check_told(world, window)


def check_result(world: World, run: StoredRun) -> None:
    """A completed run's result is its script's pure function of its steps' outcomes."""
    record = run.record
    outcomes = Outcomes(step for _, step in run.steps.values())
    version = version_of(world.journal.sources[record.source_hash])
    result = record.result
    assert result is not None, "a completed run has a result"
    assert result.data_json is not None, "these workflows return data"
    got = (result.report, loads(result.data_json))
    expected = WORKFLOWS[record.name].expected(version, outcomes)
    assert got == expected, f"{record.run_id} came to {got}, its steps say {expected}"


def _check_told(world: World, window: Window) -> None:
    """What a window was told is in the journal, in order, without gap or duplicate (G2, J10)."""
    for run_id, told in window.told.items():
        if told[-1] == (-1, None):
            assert run_id in world.archive.deleted, f"{window.name} was told that {run_id} is deleted"
            told = told[:-1]
        bodies = world.archive.events[run_id]
        for position, (sequence, body) in enumerate(told):
            assert sequence == told[0][0] + position, f"{window.name} was told {sequence} of {run_id} as {position}"
            assert bodies[sequence - 1] == body, (
                f"{window.name} was told {body} of {run_id}, not {bodies[sequence - 1]}"
            )


def check_at_rest(world: World) -> None:
    """When nothing can go on before time passes."""
    check_always(world)
    grace_ms = (world.settings.interrupt_grace_s + world.settings.interrupt_store_s) * 1000
    for request in world.requests:
        if request.kind == "interrupt" and request.is_open and not request.met_fault:
            age_ms = world.clock.now_ms() - request.asked_ms
            assert age_ms <= grace_ms, f"an interrupt of {request.run_id} waits for {age_ms / 1000} s"
    if world.journal.fault is not None:
        return
    usable = {window.owners.owner_id for window in world.usable_windows}
    for execution in world.outside.going_on:
        if execution.owner_id in usable and not execution.is_deaf:
            _check_wanted(world, execution)
    for window in world.usable_windows:
        for run_id, told in window.told.items():
            if run_id not in world.archive.deleted:
                last = world.archive.rows[run_id].sequence
                assert told[-1][0] == last, f"{window.name} was told {told[-1][0]} of {last} events of {run_id}"


def _check_wanted(world: World, execution: Execution) -> None:
    """What heeds its abort is at work only for an active run of its owner (I9)."""
    run = world.journal.runs.get(execution.request.run_id)
    assert run is not None, f"work for a run that is gone: {execution.request}"
    root = world.journal.runs[run.record.root_run_id].record
    owner = root.owner and root.owner.owner_id
    assert run.record.is_active, f"work for {_short(run.record)}: {execution.request.step_id}"
    assert owner == execution.owner_id, f"{execution.owner_id} works for {_short(root)}"


def check_after_patrol(world: World) -> None:
    """When a living process has looked for dead owners: no run and no work of theirs is left."""
    check_at_rest(world)
    for record in world.roots:
        owner = record.owner
        assert owner is None or owner.owner_id not in world.dead, f"{_short(record)} is owned by the dead"
    for execution in world.outside.going_on:
        assert execution.owner_id not in world.dead, f"work of the dead goes on: {execution.request}"


def check_end(world: World) -> None:
    """When everything was let go and has come to its end."""
    check_after_patrol(world)
    for request in world.requests:
        assert not request.is_open, f"never answered: {request.kind} of {request.run_id} in {request.window.name}"
    for record in world.roots:
        assert record.is_quiescent, f"not quiescent at the end: {_short(record)}"
    assert not world.outside.going_on, f"work goes on at the end: {world.outside.going_on[0].request}"


def _short(record: RunRecord) -> str:
    return f"{record.run_id} ({record.name}, {record.status.value}, owner {record.owner})"

"""What the simulation found, as it found it."""

from __future__ import annotations

from tests.sim.machine import Simulation


def test_f3_an_owner_woken_after_its_run_was_taken_over_and_deleted_lets_go_quietly() -> None:
    """The run it conducted is gone: that is the end of its execution, and no fault of its runner."""
    simulation = Simulation()
    simulation.begin(windows=2)
    simulation.start_plainly(name="line", window=0)
    simulation.overpower(which=0, by=0, finishes=False, wakes=False, turns=None)
    simulation.finish_all()
    simulation.finish_all()
    simulation.delete(run=0, window=0, turns=None)
    simulation.wake(which=0, parked_max=None, turns=None)
    simulation.teardown()

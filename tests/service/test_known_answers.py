"""J3, J4, P2: what a replay answers in the thread of a turn is what it would have answered step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidestep.model.run import RunRecord, RunStatus
from sidestep.settings import Settings
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

TWICE = """
from sidestep import command

async def main():
    said = ""
    await command(["a"], id="a")
    try:
        await command(["a"], id="a")
    except RuntimeError as error:
        said = str(error)
    await command(["last"], id="last")
    return said
"""

CAUGHT = """
from sidestep import command

async def main():
    said = []
    for name in "abcd":
        try:
            done = await command([name], id=name)
            said.append(done["stdout"])
        except RuntimeError as error:
            said.append(str(error))
    await command(["last"], id="last")
    return ", ".join(said)
"""

CROSSED = """
from sidestep import command, parallel

async def main():
    order = []
    async def one(*names):
        for name in names:
            await command([name], id=name)
            order.append(name)
    await parallel([one("a", "y"), one("z")])
    await command(["last"], id="last")
    return "".join(order)
"""


async def finished_after_a_stop(h: Harness, source: str, order: str = "") -> RunRecord:
    """Run it up to the step `last`, the steps of `order` finishing one after the other; stop it, and go on."""
    h.commands.held |= {"last", *order}
    task = h.start(source)
    for step_id in order:
        await h.commands.called(step_id)
        h.commands.finish(step_id)
        await h.told(f"told step:completed:{step_id}")
    await h.commands.called("last")
    await h.service.interrupt(h.commands.calls[-1].run_id, by="person")
    run_id = (await task).record.run_id
    h.commands.held.clear()
    return await h.resume(run_id)


async def test_p2_a_key_that_was_asked_twice_is_refused_again_in_a_replay(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await finished_after_a_stop(h, TWICE)
        assert record.status is RunStatus.COMPLETED
        assert record.result is not None
        assert "already ran" in (record.result.report or "")
        assert h.commands.count("a") == 1


@pytest.mark.parametrize("inline_bytes_max", [0, 256 * 1024])
async def test_j4_j5_values_and_failures_come_again_wherever_the_outputs_stand(
    tmp_path: Path, inline_bytes_max: int
) -> None:
    async with Harness(tmp_path, settings=Settings(output_inline_bytes_max=inline_bytes_max)) as h:
        for name in "ac":
            h.commands.outputs[name] = {"exit_code": 0, "stdout": f"said {name}", "stderr": ""}
        h.commands.held |= {"b", "d"}
        h.commands.fail("b", "no b")
        h.commands.fail("d", "no d")
        record = await finished_after_a_stop(h, CAUGHT)
        assert record.result is not None
        assert record.result.report == 'said a, step in step "b": no b, said c, step in step "d": no d'
        assert [h.commands.count(name) for name in "abcd"] == [1, 1, 1, 1]


async def test_j3_a_known_answer_does_not_overtake_one_that_stands_before_it_in_the_journal(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await finished_after_a_stop(h, CROSSED, order="azy")
        assert record.result is not None
        assert record.result.report == "azy"

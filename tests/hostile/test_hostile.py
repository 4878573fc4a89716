"""X1: every hostile script gets a clean end within the limits; the server and other runs do not notice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from sidestep.model.execution import ScriptRaised, ScriptReturned
from sidestep.settings import Settings
from tests.hostile.hostile_scripts import HOSTILE
from tests.unit.runtime.scripted_host import ScriptedHost, program, sandbox

SETTINGS = Settings(sandbox_turn_s_max=0.3)

# A turn of 0.3 s, the host's share, and room for a machine that is busy.
ENDS_WITHIN_S = 10.0

NEIGHBOUR = "from sidestep import command\nasync def main():\n    return await command(['x'], id='x')"

SCRIPTS = [
    pytest.param(source, ends, id=f"{category}: {name}")
    for category, scripts in HOSTILE.items()
    for name, source, ends in scripts
]


def test_there_are_at_least_a_hundred_or_so_of_every_kind():
    assert len(SCRIPTS) >= 90
    assert len({param.id for param in SCRIPTS}) == len(SCRIPTS)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "ends"), SCRIPTS)
def test_x1_a_hostile_script_ends_cleanly_and_harms_nobody(source: str, ends: str, capfd: pytest.CaptureFixture[str]):
    async def scenario() -> ScriptRaised | ScriptReturned | None:
        async with sandbox(SETTINGS) as made:
            neighbour = ScriptedHost(await made.open(program(NEIGHBOUR)))
            await neighbour.start()
            hostile = await made.open(program(source))
            ended = (await asyncio.wait_for(hostile.start(), ENDS_WITHIN_S)).ended
            await hostile.close()
            await neighbour.settle("x", "unharmed")
            assert neighbour.trace.value == "unharmed"
            return ended

    children_before = set(psutil.Process().children(recursive=True))
    memory_before = psutil.Process().memory_info().rss
    began = time.monotonic()
    ended = asyncio.run(scenario())
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert psutil.Process().memory_info().rss - memory_before < 400 * 1024**2
    # A worker that ran out of memory ended itself, and may be on its way out.
    left = set(psutil.Process().children(recursive=True)) - children_before
    assert psutil.wait_procs(left, timeout=5)[1] == []
    # Not a byte on stdout, which belongs to the protocol; a worker that is out of memory says so on stderr.
    out, err = capfd.readouterr()
    assert out == ""
    assert all(line.startswith("monty worker:") for line in err.splitlines())
    assert not Path("/tmp/hostile").exists()
    if ends == "any":
        assert ended is not None
    elif ends == "returns":
        assert isinstance(ended, ScriptReturned), ended
    else:
        assert isinstance(ended, ScriptRaised), ended
        assert ended.failure.code.value == ends
        assert len(ended.failure.message) <= SETTINGS.failure_message_chars_max + 3
        assert ended.failure.message

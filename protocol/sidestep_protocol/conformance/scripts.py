"""The workflows that checks run: steps that append to a file, tell the kit, or wait for it. Knows no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidestep_protocol.conformance.gate import Gate


def quick(gate: Gate) -> str:
    """Two steps, a phase and a log line; then it ends. Appends `first` and `second`."""
    return f"""
from sidestep import command, log, phase

async def main(n: int = 1):
    phase("work", n=n)
    log("hello")
    await command(["sh", "-c", "echo first >> {gate.done_at}"], id="first")
    await command(["sh", "-c", "echo second >> {gate.done_at}"], id="second")
    return {{"report": "done", "data": {{"n": n}}}}
"""


def gated(gate: Gate) -> str:
    """
    The second step tells `begun`, waits for the gate, and appends `gated`; a third one appends `last`.

    The file then says how often each piece of work was really done.
    """
    wait = f"echo begun > {gate.told_at}; read line < {gate.gate}; echo gated >> {gate.done_at}"
    return f"""
from sidestep import command

async def main(n: int = 1):
    await command(["sh", "-c", "echo first >> {gate.done_at}"], id="first")
    await command(["sh", "-c", "{wait}"], id="gated")
    await command(["sh", "-c", "echo last >> {gate.done_at}"], id="last")
    return "through"
"""


def echoing() -> str:
    """Gives its argument back."""
    return """
async def main(value: dict[str, int]):
    return {"data": value, "report": "r"}
"""


def noisy() -> str:
    """Prints, and its child does too."""
    return """
from sidestep import command

async def main():
    print("printed by the script")
    await command(["sh", "-c", "echo printed by a step; echo and more >&2"], id="noisy")
    return "quiet"
"""


def talkative(gate: Gate, turns: int, lines: int, line_bytes: int) -> str:
    """Logs so many long lines in each of its turns, with a step between two of them, and then tells `said it all`."""
    return f"""
from sidestep import command, log, sleep

async def main():
    for turn in range({turns}):
        for line in range({lines}):
            log("x" * {line_bytes})
        await sleep(0.001, id=f"turn {{turn}}")
    await command(["sh", "-c", "echo said it all > {gate.told_at}"], id="tell")
    return "said"
"""


def failing(gate: Gate) -> str:
    """The second step fails unless the file `mended` is there."""
    return f"""
from sidestep import command

async def main():
    await command(["sh", "-c", "echo first >> {gate.done_at}"], id="first")
    await command(["sh", "-c", "echo tried >> {gate.done_at}; test -e mended-{gate.done_at}"], id="second")
    return "through"
"""


def asleep(gate: Gate) -> str:
    """A step, then a long `sleep` step."""
    return f"""
from sidestep import command, sleep

async def main():
    await command(["sh", "-c", "echo first >> {gate.done_at}; echo begun > {gate.told_at}"], id="first")
    await sleep(3600, id="night")
    return "morning"
"""

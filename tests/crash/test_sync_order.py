"""
Promise 2 on the disk: a step's completion is written and synced before the script is given it, and the reply after.

The real server runs under strace, and the order of its system calls is the proof; nothing inside can fake it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.raw_client import SERVE, RawClient, response_to

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 8

SOURCE = f"""
from sidestep import command

async def main():
    for n in range({STEPS}):
        await command(["sh", "-c", f"echo step-{{n}}-done >> calls"], id=f"step-{{n}}")
    return "all done"
"""


@pytest.mark.soak
def test_promise_2_each_completed_step_is_synced_before_the_next_one_begins(tmp_path: Path) -> None:
    lines = _trace(tmp_path)
    at = 0
    for n in range(STEPS):
        done = _find(lines, at, rf'write\(\d+<[^>]*/calls>, "step-{n}-done')
        written = _find(lines, done, rf'pwrite64\(\d+<[^>]*-wal>.*\bstepId\\":\\"step-{n}\\"[^{{}}]*\\"completed\\"')
        synced = _find(lines, written, r"f(data)?sync\(\d+<[^>]*-wal>\).*= 0$")
        following = _find(lines, 0, rf"execve\(.*step-{n + 1}-done") if n + 1 < STEPS else len(lines)
        assert done < written < synced < following, f"step {n}: done {done}, {written}, {synced}, next {following}"
        at = synced
    written = _find(lines, at, r'pwrite64\(\d+<[^>]*-wal>.*\\"type\\":\\"result\\"')
    synced = _find(lines, written, r"f(data)?sync\(\d+<[^>]*-wal>\).*= 0$")
    told = _find(lines, 0, r"write\(\d+<pipe.*\"jsonrpc.*completed.*all done")
    assert written < synced < told, f"the result: written {written}, synced {synced}, told {told}"


def _trace(folder: Path) -> list[str]:
    """The system calls of a short run, in the order in which they ended."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = folder / "strace.log"
    if subprocess.run([strace, "-o", str(log), "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here")
    workspace = folder / "workspace"
    workspace.mkdir()
    calls = "trace=fsync,fdatasync,pwrite64,write,execve"
    traced = [strace, "-f", "-y", "-qq", "-s", "8192", "-e", "signal=none", "-e", calls, "-o", str(log)]
    with RawClient([*traced, *SERVE, f"--store={folder / 'store.sqlite'}"]) as client:
        client.initialize(folders=[workspace])
        number = client.request("workflow/start", {"script": {"source": SOURCE, "name": "synced"}})
        answer = client.expect(response_to(number))
        assert answer["result"]["status"] == "completed", answer
        assert client.shut_down() == 0
    return _joined(log.read_text(errors="replace").splitlines())


def _joined(lines: list[str]) -> list[str]:
    """Calls that were interrupted in the log are put together where they end; starting programs, where they begin."""
    begun: dict[str, str] = {}
    whole: list[str] = []
    for line in lines:
        pid, _, call = line.partition(" ")
        call = call.lstrip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
            if call.startswith("execve"):
                whole.append(begun.pop(pid))
        elif (resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call)) is not None:
            if pid in begun:
                whole.append(begun.pop(pid) + resumed[1])
        else:
            whole.append(call)
    return whole


def _find(lines: list[str], start: int, pattern: str) -> int:
    """Index of the first line from `start` on that holds the pattern."""
    found = next((index for index in range(start, len(lines)) if re.search(pattern, lines[index])), None)
    assert found is not None, f"no {pattern} after line {start} of the trace"
    return found

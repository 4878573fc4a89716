"""
The workflow of the storm: commands, a parallel, a handled failure, a sleep and a nested run, with one possible result.
With `asks` it has a question, and so has the nested run: their answers are all that the result leaves open.

Every command goes through `work.sh`, which says in the file `lines` of its workspace that it ran: for which run, which
step, under which sidecar, and when. So its executions can be counted whatever became of the sidecars that asked for
them. It also holds a lock as long as anything of it runs: two copies of one step's work at once leave a word in
`overlaps`. One that takes its time has a part that ignores TERM, and stays when its sidecar is gone, until whoever
takes the run over ends it (F4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "storm"

# RUN STEP SECONDS CODE; a `flaky` code fails until the file fixed/RUN is there.
WORK = """
printf '%s %s %s %s\\n' "$1" "$2" "$PPID" "$(date +%s%N)" >> lines
exec 9> "locks/$1.$2"
if command -v flock > /dev/null && ! flock -w 0.1 9; then
    echo "$1 $2" >> overlaps
    exit 9
fi
if [ "$3" != 0 ]; then
    (trap '' TERM; sleep "$3"; kill -0 "$PPID" 2> /dev/null || exec sleep 15) &
    wait
fi
if [ "$4" = flaky ]; then
    [ -e "fixed/$1" ] || exit 3
    set -- "$1" "$2" "$3" 0
fi
echo "$2 of $1"
exit "$4"
"""

STEP = """

def work(name: str, step: str, seconds: str = "0", code: str = "0"):
    return command(["sh", "work.sh", name, step, seconds, code], id=step)
"""

CHILD = f'''
"""The nested run."""
from sidestep import ask, command, log, parallel
{STEP}

async def main(name: str, asks: bool = False):
    log("in the child", name=name)
    first = await work(name, "child:first")
    agreed = await ask("Go on below?", id="child:ask") if asks else None
    held = await work(name, "child:held", "0.3")
    sides = await parallel([work(name, f"child:side:{{n}}") for n in range(2)])
    return {{"report": name, "data": [agreed, *[done["stdout"] for done in [first, held, *sides]]]}}
'''

PARENT = f'''
"""A bit of everything."""
from sidestep import ask, command, failure, log, parallel, phase, sleep, workflow
{STEP}

async def main(name: str, flaky: bool = False, asks: bool = False):
    phase("alone")
    first = await work(name, "first")
    log("after the first", said=first["stdout"])
    agreed = await ask("Go on?", id="ask") if asks else None
    held = await work(name, "held", "0.6")
    phase("together")
    sides = await parallel([work(name, f"side:{{n}}") for n in range(3)], limit=2)
    try:
        caught = await work(name, "bad", "0", "3")
    except RuntimeError as error:
        caught = failure(error)["code"]
        log("handled", code=caught)
    await sleep(0.2, id="nap")
    phase("below")
    child = await workflow("storm-child", id="child", args={{"name": name, "asks": asks}})
    if flaky:
        await work(name, "flaky", "0", "flaky")
    last = await work(name, "last")
    said = [done["stdout"] for done in [first, held, *sides, last]]
    return {{"report": name, "data": {{"said": said, "caught": caught, "child": child, "agreed": agreed}}}}
'''

CHILD_STEPS = frozenset({"child:first", "child:held", "child:side:0", "child:side:1"})
ROOT_STEPS = frozenset({"first", "held", "side:0", "side:1", "side:2", "bad", "last"})


@dataclass(frozen=True)
class Answers:
    """What a run and its nested run were answered; None when they did not ask."""

    own: str | None = None
    childs: str | None = None


@dataclass(frozen=True)
class Line:
    """One execution of a command; `pid` is its sidecar's, or whoever inherited the command when that died."""

    run: str
    step: str
    pid: int
    at_ms: float

    @property
    def is_childs(self) -> bool:
        return self.step in CHILD_STEPS


def lay_out(folder: Path) -> None:
    """Make a workspace folder with the scripts."""
    scripts = folder / ".sidestep" / "workflows"
    for made in (scripts, folder / "locks", folder / "fixed"):
        made.mkdir(parents=True)
    (folder / "work.sh").write_text(WORK)
    (scripts / f"{NAME}.py").write_text(PARENT)
    (scripts / f"{NAME}-child.py").write_text(CHILD)


def mend(folder: Path, run: str) -> None:
    """From now on the flaky step of this run succeeds."""
    (folder / "fixed" / run).touch()


def steps_of(*, flaky: bool) -> frozenset[str]:
    """Every step of a whole tree that is a command."""
    return ROOT_STEPS | CHILD_STEPS | ({"flaky"} if flaky else frozenset())


def result_of(run: str, calm: Any, calm_run: str, answers: Answers) -> Any:
    """The result of a run, told from the one of an undisturbed run, which asked nothing."""
    result = json.loads(json.dumps(calm).replace(calm_run, run))
    result["data"]["agreed"] = answers.own
    result["data"]["child"]["data"][0] = answers.childs
    return result


def is_result(stored: Any, expected: Any) -> bool:
    """Whether a run's row holds that result; `expected` is as the wire tells it."""
    if stored is None:
        return False
    return (stored.get("report"), json.loads(stored["data_json"])) == (expected["report"], expected["data"])


def lines_of(folder: Path) -> Iterator[Line]:
    try:
        said = (folder / "lines").read_text().splitlines()
    except FileNotFoundError:
        return
    for line in said:
        run, step, pid, at_ns = line.split()
        yield Line(run, step, int(pid), int(at_ns) / 1e6)


def overlaps_of(folder: Path) -> list[str]:
    """Steps of which two copies ran at once (F4)."""
    path = folder / "overlaps"
    return path.read_text().splitlines() if path.exists() else []

"""
The workflow that is crashed: a bit of everything, with one possible result.

Every step is a command that appends its id to the file `calls` when it runs, so its executions can be counted whatever
became of the server that asked for them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

NAME = "crash"

HOLDER = Path(__file__).with_name("holder.py")

CHILD = '''
"""The nested run: two steps, one of them in a parallel of its own, and a question between them."""
from sidestep import ask, command, log, parallel


async def main(word: str):
    log("in the child", word=word)
    one = await command(["sh", "-c", "echo child-one >> calls; echo one"], id="child-one")
    agreed = await ask("Go on below?", id="child-ask")
    two, three = await parallel([
        command(["sh", "-c", "echo child-two >> calls; echo two"], id="child-two"),
        command(["sh", "-c", "echo child-three >> calls; echo three"], id="child-three"),
    ])
    return {"report": word, "data": [one["stdout"], two["stdout"], three["stdout"], agreed]}
'''

PARENT = '''
"""Commands, a parallel, a pipeline, a nested run, a sleep, a question, a handled failure, phases and log lines."""
from sidestep import ask, command, failure, log, parallel, phase, pipeline, sleep, workflow


def step(name: str, code: int = 0):
    return command(["sh", "-c", f"echo {name} >> calls; echo {name} said; exit {code}"], id=name)


async def pipe_one(item: int):
    done = await step(f"pipe-one:{item}")
    return [item, done["stdout"]]


async def pipe_two(item: list):
    done = await step(f"pipe-two:{item[0]}")
    return item + [done["stdout"]]


async def main(python: str, holder: str):
    phase("alone", steps=2)
    first = await step("first")
    log("after the first", said=first["stdout"])
    held = await command([python, "-I", "-S", holder, "held"], id="held")
    phase("together")
    log("around")
    sides = await parallel([step(f"side:{n}") for n in range(3)], limit=2)
    log("around")
    try:
        await step("bad", code=3)
        caught = None
    except RuntimeError as error:
        caught = failure(error)
        log("handled", failed=caught)
    await sleep(0.03, id="nap")
    agreed = await ask("Go on?", id="go-on")
    phase("in line")
    piped = await pipeline([1, 2], pipe_one, pipe_two)
    child = await workflow("crash-child", id="child", args={"word": "nested"})
    last = await step("last")
    log("at the end")
    data = {"sides": [side["stdout"] for side in sides], "caught": caught, "piped": piped, "child": child}
    return {"report": first["stdout"] + last["stdout"], "data": {**data, "held": held["exit_code"], "agreed": agreed}}
'''

_SIDES = ("side:0", "side:1", "side:2")
_PIPED = ("pipe-two:1", "pipe-two:2")
_CHILDREN = ("child-one", "child-two", "child-three")

# What has to be in the journal before a step may be executed at all: the script only learns what is durable.
BEFORE: dict[str, tuple[str, ...]] = {
    "first": (),
    "held": ("first",),
    **dict.fromkeys(_SIDES, ("held",)),
    "bad": _SIDES,
    "pipe-one:1": ("bad", "nap", "go-on"),
    "pipe-one:2": ("bad", "nap", "go-on"),
    "pipe-two:1": ("pipe-one:1",),
    "pipe-two:2": ("pipe-one:2",),
    "child-one": _PIPED,
    "child-two": ("child-one", "child-ask"),
    "child-three": ("child-one", "child-ask"),
    "last": (*_PIPED, *_CHILDREN, "child"),
}
FAILING = {"bad"}
# Steps that ask, by the workflow they stand in.
ASKING = {NAME: "go-on", f"{NAME}-child": "child-ask"}


def without_answers(result: Any) -> Any:
    """A result with the answers taken out: which of them came first differs from run to run."""
    data = result["data"]
    child = {**data["child"], "data": data["child"]["data"][:-1]}
    return {**result, "data": {**data, "agreed": None, "child": child}}


def answers_in(result: Any) -> dict[str, Any]:
    """What the script of each workflow was answered."""
    data = result["data"]
    return {NAME: data["agreed"], f"{NAME}-child": data["child"]["data"][-1]}


def lay_out(folder: Path) -> None:
    """Put the scripts into a workspace folder."""
    scripts = folder / ".sidestep" / "workflows"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts / "crash-child.py").write_text(CHILD)
    (scripts / f"{NAME}.py").write_text(PARENT)


def arguments() -> dict[str, str]:
    return {"python": sys.executable, "holder": str(HOLDER)}


def calls_of(folder: Path) -> dict[str, int]:
    """How often each step was executed, by every server together."""
    try:
        lines = (folder / "calls").read_text().split()
    except FileNotFoundError:
        lines = []
    return {step_id: lines.count(step_id) for step_id in lines}


def overlaps_of(folder: Path) -> list[str]:
    """Steps of which two copies ran at once."""
    path = folder / "overlaps"
    return path.read_text().split() if path.exists() else []

"""
The workflows of a simulation: their scripts, and what each must come to, as a pure function of its steps' outcomes.

A step whose id begins with `q:` is done at once; one with `h:` is done when the simulation says so, one with `a:` when
a question is answered. A script has a version; an odd one asks for one step more. So an edited script shows in the
result of whoever ran it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.model.run import Failure, StepRecord, StepStatus, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Outcomes:
    """What became of a run's steps, by step id."""

    def __init__(self, steps: Iterable[StepRecord]) -> None:
        self._steps = {step.step_id: step for step in steps}

    def failed(self, *step_ids: str) -> list[str]:
        """Which of these failed, earliest first."""
        failed = [self._steps[one] for one in step_ids if one in self._steps]
        failed = [step for step in failed if step.status is StepStatus.FAILED]
        return [step.step_id for step in sorted(failed, key=lambda step: step.sequence)]

    def order(self, *step_ids: str) -> list[str]:
        """These, in the order in which the journal got their outcomes."""
        return sorted(step_ids, key=lambda one: self._steps[one].sequence)

    def failure(self, step_id: str) -> Failure:
        failure = self._steps[step_id].failure
        assert failure is not None, "a failed step has its failure"
        return failure

    def value(self, step_id: str) -> Any:
        text = self._steps[step_id].output_json
        assert text is not None, f"{step_id} has no output: {self._steps[step_id]}"
        return loads(text)

    def text(self, step_id: str) -> str:
        return self.value(step_id)["stdout"]


@dataclass(frozen=True)
class Workflow:
    """`body` is `main`'s; `data` what it must return in `data` for the outcomes of the steps in it."""

    name: str
    imports: str
    body: str
    data: Callable[[Outcomes], list[Any]]

    def source(self, version: int) -> str:
        extra = 'out.append((await command(["x"], id="q:extra"))["stdout"])' if version % 2 else "pass"
        body = "\n".join(f"    {line}" for line in self.body.strip().splitlines())
        return (
            f'"""{self.name} {version}"""\nfrom sidestep import {self.imports}\n\n\nasync def main():\n    out = []\n'
            f'{body}\n    {extra}\n    return {{"report": "{self.name} {version}", "data": out}}\n'
        )

    def expected(self, version: int, outcomes: Outcomes) -> tuple[str, list[Any]]:
        """The report and the data of a completed run."""
        extra = [outcomes.text("q:extra")] if version % 2 else []
        return f"{self.name} {version}", [*self.data(outcomes), *extra]


def version_of(source: str) -> int:
    found = re.match(r'"""\w+ (\d+)"""', source)
    assert found is not None, "every source tells its version"
    return int(found[1])


LINE = Workflow(
    "line",
    "command",
    """
out.append((await command(["a"], id="h:a"))["stdout"])
out.append((await command(["b"], id="q:b"))["stdout"])
out.append((await command(["c"], id="h:c", timeout_s=4))["stdout"])
""",
    lambda o: [o.text("h:a"), o.text("q:b"), o.text("h:c")],
)
QUICK = Workflow(
    "quick",
    "command, log, phase",
    """
for n in range(4):
    phase("round", n=n)
    out.append((await command([str(n)], id=f"q:{n}"))["stdout"])
    log("done", n=n)
""",
    lambda o: [o.text(f"q:{n}") for n in range(4)],
)
FAN = Workflow(
    "fan",
    "command, parallel, phase",
    """
phase("fan")
for done in await parallel([command([n], id=n) for n in ("h:1", "q:2", "h:3", "h:4")], limit=3):
    out.append(done["stdout"])
phase("after")
out.append((await command(["after"], id="h:after"))["stdout"])
""",
    lambda o: [o.text(one) for one in ("h:1", "q:2", "h:3", "h:4", "h:after")],
)
HANDLED = Workflow(
    "handled",
    "command, failure, log",
    """
try:
    out.append((await command(["r"], id="h:risky"))["stdout"])
except RuntimeError as error:
    log("failed", **failure(error))
    out.append(failure(error)["code"])
out.append((await command(["n"], id="h:next"))["stdout"])
""",
    lambda o: [
        o.failure("h:risky").code.value if o.failed("h:risky") else o.text("h:risky"),
        o.text("h:next"),
    ],
)
SIBLINGS = Workflow(
    "siblings",
    "command, failure, parallel",
    """
try:
    both = await parallel([command(["x"], id="h:x"), command(["y"], id="h:y")])
    out.append([one["stdout"] for one in both])
except RuntimeError as error:
    out.append(failure(error)["step"])
out.append((await command(["q"], id="q:z"))["stdout"])
""",
    lambda o: [
        (o.failed("h:x", "h:y") or [[o.text(one) for one in ("h:x", "h:y")]])[0],
        o.text("q:z"),
    ],
)
ORDER = Workflow(
    "order",
    "command, parallel",
    """
async def noted(name):
    await command([name], id=name)
    out.append(name)


await parallel([noted("h:p"), noted("h:q"), noted("h:r")])
await command(["next"], id=f"h:after {out[0]}")
out.append((await command(["last"], id=f"q:last {out[1]}"))["stdout"])
""",
    lambda o: [*(order := o.order("h:p", "h:q", "h:r")), o.text(f"q:last {order[1]}")],
)
SLEEPY = Workflow(
    "sleepy",
    "command, parallel, sleep",
    """
await sleep(2, id="s:1")
rest, done = await parallel([sleep(3, id="s:2"), command(["h"], id="h:beside")])
out.append(rest)
out.append(done["stdout"])
""",
    lambda o: [o.value("s:2"), o.text("h:beside")],
)
NEST = Workflow(
    "nest",
    "command, workflow",
    """
out.append(await workflow("line", id="w:line"))
out.append((await command(["own"], id="h:own"))["stdout"])
""",
    lambda o: [o.value("w:line"), o.text("h:own")],
)
DEEP = Workflow(
    "deep",
    "command, parallel, workflow",
    """
both = await parallel([workflow("nest", id="w:nest"), workflow("handled", id="w:handled")], on_error="return")
out.append([one.get("report", "failed") for one in both])
out.append((await command(["last"], id="q:last"))["stdout"])
""",
    lambda o: [
        ["failed" if o.failed(one) else o.value(one)["report"] for one in ("w:nest", "w:handled")],
        o.text("q:last"),
    ],
)
ASKING = Workflow(
    "asking",
    "ask, command, failure",
    """
try:
    out.append(await ask("quick?", id="a:quick", choices=["yes", "no"], timeout_s=3))
except TimeoutError as error:
    out.append(failure(error)["code"])
out.append((await command(["b"], id=f"h:after {out[0]}"))["stdout"])
out.append(await ask("which?", id="a:which"))
out.append((await command(["c"], id="q:c"))["stdout"])
""",
    lambda o: [
        (quick := o.failure("a:quick").code.value if o.failed("a:quick") else o.value("a:quick")),
        o.text(f"h:after {quick}"),
        o.value("a:which"),
        o.text("q:c"),
    ],
)
PANEL = Workflow(
    "panel",
    "ask, command, failure, parallel",
    """
try:
    said, done = await parallel([ask("beside?", id="a:beside"), command(["x"], id="h:x")])
    out.append([said, done["stdout"]])
except RuntimeError as error:
    out.append(failure(error)["step"])
out.append((await command(["z"], id="q:z"))["stdout"])
""",
    lambda o: [
        "h:x" if o.failed("h:x") else [o.value("a:beside"), o.text("h:x")],
        o.text("q:z"),
    ],
)
SURVEY = Workflow(
    "survey",
    "ask, command, failure, workflow",
    """
try:
    out.append(await workflow("asking", id="w:asking", timeout_s=5))
except TimeoutError as error:
    out.append(failure(error)["code"])
out.append(await ask("own?", id="a:own"))
""",
    lambda o: [
        o.failure("w:asking").code.value if o.failed("w:asking") else o.value("w:asking"),
        o.value("a:own"),
    ],
)

_ALL = (LINE, QUICK, FAN, HANDLED, SIBLINGS, ORDER, SLEEPY, NEST, DEEP, ASKING, PANEL, SURVEY)

WORKFLOWS = {each.name: each for each in _ALL}

"""
Scripts that carry what an editor is to show of them, as comments below the line it is about.

    await agent("Fix it")
    #     ^^^^^^^^^^^^^^^ error missing-id: needs an id
    #     ^^^^^^^^^^^^^^^ fix: await agent("Fix it", id="fix-it")
    #      ^ hover: Ask an agent

The carets are the range; what has a place only takes its first column. For places left of the third column there is
`#@1-9 error ...`, the columns counted from 1 and the last one included. Marks:

- `error CODE: WORDS`, `warning CODE: WORDS`: a problem of exactly this range with these words in its message.
- `fix: LINE`: the line, once the fix of the problem above is made, without its indentation.
- `hover: WORDS`, `hover: -`: the words are in what is shown; nothing is shown.
- `complete: A B`: exactly these labels, in any order; `complete has: A B`, `complete lacks: A B`.
- `signature: LABEL PARAMETER`: the primitive and the parameter being given; `-` for none.
- `definition: LINE`, `references: LINES`: numbers of lines relative to the script's first, or `FILE:LINE`.
- `lens: TITLE | TITLE`: exactly these lenses stand on this range.
- `failed: WORDS`: the failed run is a problem of exactly this range with these words.
- `#: symbol ...` anywhere: the outline, one entry a line, two spaces of indentation for each level, `KIND NAME`.
- `#: run STATUS KEPT KNOWN same|edited [STEP]`: the script's last run, of this text or of another, and its failed step.
- `#: agents A B`, `#: step ID STATUS DURATION_MS REUSED`, `#: workflow NAME`: the surroundings.

Every problem must be marked. A script that is no Python is as good as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sidestep.language.surroundings import StepMemory, Surroundings
from sidestep.model.replay_key import hash_text
from sidestep.model.run import Attention, Failure, FailureCode, RunRecord, RunStatus, StepCounts
from sidestep.scripts.source_text import Span

SCRIPTS = Path(__file__).parent / "scripts"
WORKSPACE = "/workspace"

_CARETS = re.compile(r"\s*#(?P<gap>\s*)(?P<carets>\^+) (?P<kind>[a-z]+(?: has| lacks)?)(?P<rest>.*)")
_COLUMNS = re.compile(r"\s*#@(?P<first>\d+)-(?P<last>\d+) (?P<kind>[a-z]+(?: has| lacks)?)(?P<rest>.*)")
_GLOBAL = re.compile(r"\s*#: (?P<kind>symbol|agents|step|workflow|run) (?P<rest>.*)")


@dataclass(frozen=True)
class Mark:
    """One expectation: `kind` at `span`, with what stands behind it."""

    kind: str
    rest: str
    span: Span


@dataclass
class MarkedScript:
    """A script, its marks, and what it is told of the rest of the world."""

    name: str
    text: str
    marks: list[Mark] = field(default_factory=list[Mark])
    symbols: list[str] = field(default_factory=list[str])
    agents: list[str] | None = None
    steps: list[StepMemory] | None = None
    workflows: dict[str, str] = field(default_factory=dict[str, str])
    runs: list[RunRecord] = field(default_factory=list["RunRecord"])

    @property
    def path(self) -> str:
        return f"{WORKSPACE}/.sidestep/workflows/{self.name}.py"

    def surroundings(self) -> Surroundings:
        agents, steps = self.agents, self.steps
        return Surroundings(
            workflows=lambda _: self.workflows,
            read=_read,
            agents=None if agents is None else lambda _: agents,
            last_steps=None if steps is None else lambda _: steps,
        )


def marked_scripts() -> list[str]:
    return sorted(path.name.removesuffix(".py.txt") for path in SCRIPTS.glob("*.py.txt"))


def read_marked(name: str) -> MarkedScript:
    script = MarkedScript(name, (SCRIPTS / f"{name}.py.txt").read_text())
    about = 0
    for number, line in enumerate(script.text.split("\n"), start=1):
        found = _CARETS.fullmatch(line) or _COLUMNS.fullmatch(line)
        settings = _GLOBAL.fullmatch(line)
        if found is not None:
            script.marks.append(_mark(found, about))
        elif settings is not None:
            _set(script, settings["kind"], settings["rest"])
        else:
            assert "^^" not in line, f"{name}:{number}: no mark: {line}"
            about = number
    return script


def _mark(found: re.Match[str], line: int) -> Mark:
    if "carets" in found.re.groupindex:
        first, last = found.start("carets") + 1, found.end("carets")
    else:
        first, last = int(found["first"]), int(found["last"])
    return Mark(found["kind"], found["rest"].removeprefix(":").strip(), Span(line, first, line, last + 1))


def _set(script: MarkedScript, kind: str, rest: str) -> None:
    match kind:
        case "symbol":
            script.symbols.append(rest)
        case "agents":
            script.agents = rest.split()
        case "run":
            script.runs.append(_run(script, *rest.split()))
        case "workflow":
            script.workflows[rest] = f"{WORKSPACE}/.sidestep/workflows/{rest}.py"
        case _:
            step_id, status, duration_ms, reused = rest.split()
            known = None if duration_ms == "-" else int(duration_ms)
            memory = StepMemory(step_id, status, known, {"yes": True, "no": False, "-": None}[reused])
            script.steps = [*(script.steps or []), memory]


def _run(script: MarkedScript, status: str, kept: str, known: str, text: str, step_id: str | None = None) -> RunRecord:
    is_failed = status == "failed"
    return RunRecord(
        run_id="run_1",
        root_run_id="run_1",
        name=script.name,
        folder=WORKSPACE,
        folder_uri=f"file://{WORKSPACE}",
        status=RunStatus(status),
        epoch=1,
        claim_epoch=1,
        owner=None,
        attention=Attention.NOTIFY_ON_TERMINAL,
        sequence=9,
        created_at_ms=0,
        updated_at_ms=0,
        source_hash=hash_text(script.text) if text == "same" else "another",
        file=f".sidestep/workflows/{script.name}.py",
        args_json="{}",
        args_schema_json="{}",
        script_ref="{}",
        reason="user" if status == "interrupted" else None,
        steps=StepCounts(completed=int(kept), known=int(known), failed=0 if step_id is None else 1),
        error=Failure(FailureCode.STEP if step_id else FailureCode.SCRIPT, "it broke", step_id) if is_failed else None,
    )


def _read(path: str) -> str | None:
    """Other marked scripts are the files of the workspace."""
    file = SCRIPTS / f"{Path(path).stem}.py.txt"
    return file.read_text() if file.exists() else None

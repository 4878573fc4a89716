"""
The names a workflow script imports: `from sidestep import agent, command, parallel, phase`.

Inside a run the sandbox provides them. What stands here is their reference for people, editors and type checkers, and
calling one in ordinary Python raises `RuntimeError`. Nothing else lives here, and nothing is imported: every module of
the package runs this file first.

All steps (`agent`, `command`, `workflow`, `ask`, `sleep`, `apply_patch`) take the same options:

- `id`: names the step in the run's journal; a non-empty string, another one for each round of a loop. A finished step
  is never done again: asked for with the same id and the same input, it gives its stored output.
- `title`: what people read instead of the id. `phase`: the phase the step is shown under.
- `timeout_s`: seconds the work may take; then the step fails with code `timeout`.
- `on_error`: `"raise"`, or `"return"` to get `{"error": {"code", "message", "stepId"}}` instead of an exception.

A failed step raises `RuntimeError` (`TimeoutError` for code `timeout`); `failure(error)` takes it apart.
Calling a step gives a coroutine: nothing starts before it is awaited or given to `parallel`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Any, Literal, NoReturn, NotRequired, TypedDict, TypeVar, overload

    T = TypeVar("T")
    Step = Coroutine[Any, Any, T]
    OnError = Literal["raise", "return"]

    class StepError(TypedDict):
        """What failed, as `on_error="return"` gives it."""

        code: str
        message: str
        stepId: str | None

    class CommandResult(TypedDict):
        """
        What a command did.

        `stdout` and `stderr` are the ends of the two streams as text; `..._bytes` count all that was written.
        """

        exit_code: int
        stdout: str
        stderr: str
        stdout_bytes: int
        stderr_bytes: int
        duration_ms: int
        error: NotRequired[StepError]

    class PatchConflict(TypedDict):
        """A file that changed in the workspace so that the patch no longer fits."""

        path: str
        reason: str

    class PatchResult(TypedDict):
        """What became of a patch: applied whole, or not at all."""

        applied: bool
        files: list[str]
        conflicts: list[PatchConflict]
        error: NotRequired[StepError]

    class StepFailure(TypedDict):
        """A caught error, taken apart; `step` is None when it came from no step."""

        step: str | None
        code: str
        message: str


__all__ = [
    "agent",
    "apply_patch",
    "ask",
    "command",
    "failure",
    "log",
    "parallel",
    "phase",
    "pipeline",
    "sleep",
    "workflow",
]


def agent(
    prompt: str,
    *,
    id: str,
    schema: Mapping[str, Any] | None = None,
    agent: str | None = None,
    isolation: Literal["none", "worktree"] = "none",
    grace_s: float | None = None,
    final_instructions: str | None = None,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[Any]:
    """
    Ask an agent to do something.

        review = await agent("Review the working tree.", id="review", schema=REVIEW)

    Args:
        prompt: What the agent is asked to do.
        id: Names the step in the journal; another one for each round of a loop.
        schema: JSON Schema the answer has to fit.
        agent: Name of a configured agent; the default one otherwise.
        isolation: `"worktree"` lets the agent work in a copy and gives `{"result", "patch"}`.
        grace_s: Seconds the agent has, after `timeout_s`, to report what it has; 0 by default: it is stopped then.
        final_instructions: What it is told at `timeout_s`, instead of "report what you have".
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds the work may take.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.

    Returns:
        The agent's text, or the object that fits `schema`. In a worktree `{"result": that, "patch": {"id", "files",
        "additions", "deletions"}}`; `apply_patch` takes the patch.

    Raises:
        RuntimeError: It could not be started, failed, or gave nothing that fits `schema` three times.
        TimeoutError: It took longer than `timeout_s` and `grace_s`.

    Limits: a prompt of 4 MiB, an answer of 1 MiB.
    """
    _only_in_a_script("agent")


def command(
    argv: Sequence[str],
    *,
    id: str,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
    allow_truncated: bool = False,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[CommandResult]:
    """
    Run a program, without a shell.

        tests = await command(["pytest", "-q"], id="tests", check=False)
        if tests["exit_code"]:
            log("red", tail=tests["stdout"])

    Args:
        argv: The program and its arguments.
        id: Names the step in the journal; another one for each round of a loop.
        cwd: Folder to run in, relative to the workspace folder and inside it.
        env: Environment variables to add.
        stdin: Text given to the program; nothing otherwise.
        check: True: an exit code other than 0 fails the step.
        allow_truncated: True: a stdout too long to keep gives its end instead of failing the step.
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds the program may run; then its whole process group is stopped.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.
    """
    _only_in_a_script("command")


def workflow(
    name_or_path: str,
    *,
    id: str,
    args: Mapping[str, Any] | None = None,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[Any]:
    """
    Run another workflow as a child of this run: with a journal of its own, stopped and resumed with this one.

    Args:
        name_or_path: A workflow's name, or a path inside the workspace.
        id: Names the step in the journal; another one for each round of a loop.
        args: Arguments of the child's `main`.
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds the child may take.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.

    Returns:
        What the child's `main` returned.

    Raises:
        RuntimeError: The child failed, or could not start; `failure(error)` tells which.
        TimeoutError: It took longer than `timeout_s`.

    Limits: 8 levels of workflows below the first; a result of 1 MiB.
    """
    _only_in_a_script("workflow")


def ask(
    question: str,
    *,
    id: str,
    schema: Mapping[str, Any] | None = None,
    choices: Sequence[str] | None = None,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[Any]:
    """
    Ask a person and wait, durably, until they answer: in any window, from the command line, today or next week.

        if await ask("Deploy?", id="deploy", choices=["yes", "no"]) == "yes":
            ...

    Args:
        question: What the person reads.
        id: Names the step in the journal; another one for each round of a loop.
        schema: JSON Schema the answer has to fit.
        choices: The answers to choose from.
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds to wait for an answer; the question is then withdrawn.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.

    Returns:
        The choice, a value that fits `schema`, or the text that was written.

    Raises:
        TimeoutError: Nobody answered within `timeout_s`.
    """
    _only_in_a_script("ask")


def sleep(
    seconds: float,
    *,
    id: str,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[None]:
    """
    Wait. The end is fixed when the wait first begins, so time with the machine off counts.

    Args:
        seconds: How long, in seconds.
        id: Names the step in the journal; another one for each round of a loop.
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds after which the wait fails.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.
    """
    _only_in_a_script("sleep")


def apply_patch(
    patch: Mapping[str, Any],
    *,
    id: str,
    three_way: bool = True,
    paths: Sequence[str] | None = None,
    title: str | None = None,
    phase: str | None = None,
    timeout_s: float | None = None,
    on_error: OnError = "raise",
) -> Step[PatchResult]:
    """
    Apply the patch of an agent that worked in a worktree to the workspace: all of it, or nothing.

    Args:
        patch: The `patch` in what `agent(..., isolation="worktree")` gave.
        id: Names the step in the journal; another one for each round of a loop.
        three_way: True: changes made since to other lines of the same files are merged with.
        paths: Files to take from the patch; all of them by default.
        title: What people read instead of the id.
        phase: The phase the step is shown under; the last `phase(...)` by default.
        timeout_s: Seconds the work may take.
        on_error: `"return"` gives `{"error": {...}}` instead of raising.

    Returns:
        `{"applied", "files", "conflicts"}`; with conflicts nothing was applied.
    """
    _only_in_a_script("apply_patch")


if TYPE_CHECKING:

    @overload
    def parallel(
        tasks: Mapping[str, Awaitable[T]], *, limit: int | None = None, on_error: OnError = "raise"
    ) -> Step[dict[str, T]]: ...
    @overload
    def parallel(
        tasks: Iterable[Awaitable[T]], *, limit: int | None = None, on_error: OnError = "raise"
    ) -> Step[list[T]]: ...


def parallel(
    tasks: Mapping[str, Awaitable[Any]] | Iterable[Awaitable[Any]],
    *,
    limit: int | None = None,
    on_error: OnError = "raise",
) -> Step[Any]:
    """
    Run coroutines at once.

        lint, tests = await parallel([
            command(["ruff", "check"], id="lint", check=False),
            command(["pytest", "-q"], id="tests", check=False),
        ])

    Args:
        tasks: Coroutines, of steps or of async functions of yours: a list, or a dict. At most 10,000.
        limit: How many run at once, a sliding window; all of them by default.
        on_error: `"raise"`: the first failure launches nothing more, stops what is running and is raised; what had
            finished is kept. `"return"`: each failed task gives `{"error": {...}}` and the others go on.

    Returns:
        The results in the order of the list, or under the keys of the dict.
    """
    _only_in_a_script("parallel")


def pipeline(
    items: Iterable[Any],
    *stages: Callable[[Any], Any],
    limit: int | None = None,
    on_error: OnError = "raise",
) -> Step[list[Any]]:
    """
    Send each item through the stages; no item waits for the others between two stages.

        async def build(name):
            return await command(["make", name], id=f"build:{name}")

    Args:
        items: The items. At most 10,000.
        *stages: Functions of one value, async or not, in order; each gets what the one before gave for that item.
        limit: How many items are on their way at once; all of them by default.
        on_error: As for `parallel`.

    Returns:
        What the last stage gave, in the order of the items.
    """
    _only_in_a_script("pipeline")


def phase(name: str, /, **details: Any) -> None:
    """
    Announce a phase; the steps that follow are shown under it.

    Args:
        name: The phase's name.
        **details: JSON values shown with it.
    """
    _only_in_a_script("phase")


def log(message: str, /, **data: Any) -> None:
    """
    Write a line to the run's log.

    Args:
        message: The line.
        **data: JSON values kept with it.
    """
    _only_in_a_script("log")


def failure(error: BaseException) -> StepFailure:
    """
    Take a caught error apart: `{"step", "code", "message"}`.

        try:
            await command(["make"], id="make")
        except RuntimeError as error:
            log("make failed", **failure(error))

    `code` is script, step, validation, timeout, infrastructure or limit; an error that came from no step has step None
    and code script.
    """
    _only_in_a_script("failure")


def _only_in_a_script(name: str) -> NoReturn:
    raise RuntimeError(f"sidestep.{name} works only inside a workflow script run by Sidestep: sidestep run SCRIPT")

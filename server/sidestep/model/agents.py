"""
What an `agent` step exchanges with the agent that does it, and the ports of agents.

An agent is opened for one step and prompted in turns: first with the step's prompt; again when its answer did not fit
the schema (V1), or when its time is nearly up and it is to report what it has (T1). Counting attempts, validating,
timing and journaling are the engine's (`engine/agent_steps.py`); talking to a program, or to the host, is an agent's.
Nothing here knows ACP, JSON-RPC or processes.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

from sidestep.model.value import Value

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Awaitable, Callable

    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import Failure
    from sidestep.model.usage import Usage


class PermissionPolicy(enum.Enum):
    """Who decides what a step may do; a later one is stricter."""

    ALLOW = "allow"  # Nobody is asked.
    ASK = "ask"  # A person is, each time.
    DENY = "deny"  # Nothing is permitted.


class PermissionRule(Value, frozen=True):
    """
    The policy in force in a folder, and what a person has to know who wants another one.

    Attributes:
        where: Who set it: a file and its line, or "initializationOptions"; None when nobody did.
        problem: The mistake in a configuration that made it "deny".
        can_ask: Whether a question that is put can be answered. Where it cannot, "ask" permits only what somebody has
            permitted elsewhere, and waits for nobody.
    """

    policy: PermissionPolicy = PermissionPolicy.ALLOW
    where: str | None = None
    problem: str | None = None
    can_ask: bool = True

    @property
    def why_denied(self) -> str:
        """Why something is denied without a question, and what to change."""
        if self.problem is not None:
            return f"The policy is deny because of a mistake; mend it: {self.problem}"
        set_by = f"The policy is {self.policy.value}, set by {self.where}"
        if self.policy is PermissionPolicy.ASK:
            return f'{set_by}, and nobody can be asked here; run it at a terminal, or write "allow" there'
        return f'{set_by}; write "ask" or "allow" there to permit it'


class PermissionOption(Value, frozen=True):
    """One answer an agent offers. `kind` is "allow_once", "allow_always", "reject_once" or "reject_always"."""

    option_id: str
    title: str
    kind: str


class PermissionRequest(Value, frozen=True):
    """
    An agent wants to do something that a person may refuse.

    Attributes:
        title: One line: what it wants to do.
        detail: More of it, for people; may be None.
    """

    title: str
    detail: str | None
    options: tuple[PermissionOption, ...]


class AgentTask(Value, frozen=True):
    """
    One `agent` step, for the agent that does it.

    Attributes:
        key: The step's replay key; `inputHash` on the wire.
        task_id: The same whenever this attempt of the step is delivered; who does the work deduplicates by it.
        attempt: Executions of the step, 1-based.
        redelivery: The task may have been delivered before.
        prompt: The author's prompt, without anything added.
        schema: JSON Schema the answer has to fit, or None for text.
        cwd: Absolute path of the folder to work in.
        session: The agent's own session of an earlier execution of this step, or None; a hint.
        require_claim: As `StepRequest.require_claim`: to be awaited after a process group was written down and before
            the program may begin.
        emit: As `StepRequest.emit`.
        told: One line on what the agent is doing; shown, never stored.
        permit: Has the permission decided by the policy or a person; answers the option's id, None for a refusal that
            the agent has no option for. Raises Aborted.
        keep_session: Stores the agent's session id, so that a later execution can go on with it.
    """

    run_id: str
    step_id: str
    key: str
    task_id: str
    attempt: int
    redelivery: bool
    prompt: str
    schema: dict[str, Any] | None
    cwd: str
    title: str | None
    timeout_s: float | None
    session: str | None
    require_claim: Callable[[], Awaitable[None]]
    emit: Callable[[str, bytes], None]
    told: Callable[[str], None]
    permit: Callable[[PermissionRequest], Awaitable[str | None]]
    keep_session: Callable[[str], None]


class AgentReply(Value, frozen=True):
    """
    What one turn came to.

    Attributes:
        text: The agent's report; for an agent with `gives_data` None when it gave data instead.
        data: What it gave as data; looked at only with `has_data`.
        usage: Of this turn alone; None when the agent does not say.
    """

    text: str | None
    data: Any = None
    has_data: bool = False
    usage: Usage | None = None


class AgentFailed(Exception):
    """
    The agent could not do a turn; `failure` is what the step fails with (V2: never counted as an attempt).

    Attributes:
        usage: What the turn used all the same; None when the agent does not say.
    """

    def __init__(self, failure: Failure, usage: Usage | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.usage = usage


class AgentSession(Protocol):
    """An opened agent. Close it whatever happened."""

    async def prompt(self, text: str, signal: AbortSignal) -> AgentReply:
        """
        One turn: the whole text the agent gets, and what it comes to.

        May be called again after it returned, and with `can_go_on` after it raised Aborted.

        Raises:
            Aborted: the signal fired; the turn is over (AbortedWork when the agent said what it used). Without
                `can_go_on` everything the session started is gone, with it the agent waits for another prompt, or for
                `close`.
            AgentFailed.
        """
        ...

    @property
    def can_go_on(self) -> bool:
        """
        Whether the agent keeps the conversation: a turn that was cut short leaves one that can be prompted again (T1),
        and a further prompt need not repeat what was said. Otherwise each prompt stands alone.
        """
        ...

    async def close(self) -> None:
        """End the agent; on return nothing it started is left. Idempotent; safe in a cancelled task."""
        ...


class Agent(Protocol):
    """A configured agent."""

    @property
    def name(self) -> str: ...

    @property
    def places(self) -> Semaphore | None:
        """How many tasks it does at once; None for any number."""
        ...

    @property
    def gives_data(self) -> bool:
        """Whether it takes `AgentTask.schema` itself and answers with data; else the schema is put into the prompt."""
        ...

    async def open(self, task: AgentTask, signal: AbortSignal) -> AgentSession:
        """
        Get ready to be prompted.

        Raises:
            Aborted: the signal fired, and nothing is left.
            AgentFailed: it cannot be started; `infrastructure`, with what to do.
        """
        ...


class Agents(Protocol):
    """The configured agents of a workspace folder."""

    def find(self, name: str | None, folder: str) -> Agent | str:
        """The agent of that name, or the default one; else why there is none, for the script's author."""
        ...


class PatchInfo(Value, frozen=True):
    """What an agent changed in its worktree; `apply_patch` takes it by its id."""

    patch_id: str
    files: tuple[str, ...]
    additions: int
    deletions: int


class Worktree(Protocol):
    """A copy of the workspace for one step."""

    @property
    def cwd(self) -> str:
        """Absolute path of the folder in it that stands for the workspace folder."""
        ...

    async def collect(self, signal: AbortSignal) -> PatchInfo:
        """Store what changed since it was made; the patch is durable on return. Raises AgentFailed, Aborted."""
        ...


class Worktrees(Protocol):
    """Copies of workspaces, made of the last commit and everything uncommitted; never inside the repository."""

    async def open(self, run_id: str, key: str, folder: str, signal: AbortSignal) -> Worktree:
        """
        The step's worktree: made, or as an earlier execution left it.

        Raises:
            Aborted.
            AgentFailed: the folder is in no git repository, or git refuses.
        """
        ...

    async def remove_run(self, run_id: str, may_go: Callable[[], Awaitable[bool]]) -> None:
        """
        Remove a run's worktrees and what is known of patches it applied; never raises for what is gone.

        The patches it made stay.

        Args:
            may_go: Whether the run has ended. Asked when nobody can begin to work there before this is done; who
                claimed the run earlier is seen by it, in this process or another.
        """
        ...

    async def run_ids(self) -> list[str]:
        """The runs that have left something here beside patches."""
        ...

    async def forget_patches(self, run_id: str) -> None:
        """Remove the patches that a run made and no other one did; never raises for what is gone."""
        ...

    async def patch_run_ids(self) -> list[str]:
        """The runs that made patches."""
        ...

    async def sweep_patches(self, before_s: float) -> None:
        """Remove patches from before that time, in seconds of the wall clock, that no run is known to have made."""
        ...

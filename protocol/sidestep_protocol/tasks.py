"""
Work and questions a server hands to its host: `workflow/runTask`, `workflow/interact`, and the agents a host offers.

Owns those structs. Delivery, deduplication and answers are behaviour of both sides and stand in the contract.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from sidestep_protocol.payload import JsonObject, Payload, Timestamp, open_values

InteractionKind = Annotated[str, open_values(("question", "permission", "trust"))]


class RunTaskParams(Payload, frozen=True, kw_only=True):
    """
    Do an agent step. Hosts deduplicate by `taskId` alone: delivered again, they return the finished result if there
    is one.
    """

    task_id: str
    run_id: str
    step_id: str
    input_hash: str
    # 1-based.
    attempt: int
    # A hint that this task may have been delivered before.
    redelivery: bool
    prompt: str
    # Absolute path of the directory to work in.
    cwd: str
    agent: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    # JSON schema `data` has to fit.
    schema: JsonObject | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET


class RunTaskResult(Payload, frozen=True, kw_only=True):
    """What the agent made of it: text, or data that fits the schema; one of them at least."""

    report: str | UnsetType = UNSET
    data: Any = UNSET
    # What it used, as far as it is known: `inputTokens`, `outputTokens` and `costUsd`, in dollars.
    usage: JsonObject | UnsetType = UNSET


class TaskProgressNotification(Payload, frozen=True, kw_only=True):
    """A task is alive."""

    task_id: str
    message: str | UnsetType = UNSET


class Choice(Payload, frozen=True, kw_only=True):
    """One of the answers offered."""

    id: str
    title: str


class InteractParams(Payload, frozen=True, kw_only=True):
    """Ask a person. The same `interactionId` comes again after a restart, with `redelivery`."""

    interaction_id: str
    run_id: str
    kind: InteractionKind
    title: str
    redelivery: bool
    step_id: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    choices: list[Choice] | UnsetType = UNSET
    schema: JsonObject | UnsetType = UNSET


class InteractResult(Payload, frozen=True, kw_only=True):
    """A choice's id, a value that fits the schema, or text."""

    answer: Any


class Interaction(Payload, frozen=True, kw_only=True):
    """A question that waits for its answer."""

    interaction_id: str
    run_id: str
    kind: InteractionKind
    title: str
    asked_at: Timestamp
    step_id: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    choices: list[Choice] | UnsetType = UNSET
    schema: JsonObject | UnsetType = UNSET


class AgentConfig(Payload, frozen=True, kw_only=True):
    """
    An agent of the host's: an ACP agent, a command-line program, or the host itself (`workflow/runTask`).

    As `[agents.NAME]` in a configuration file, where each setting is described.
    """

    # May be left out with a preset, and for an agent that is named like one.
    kind: Literal["acp", "cli", "host"] | UnsetType = UNSET
    # A known agent, which gives what is not said here.
    preset: str | UnsetType = UNSET
    command: str | UnsetType = UNSET
    args: list[str] | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    cwd: str | UnsetType = UNSET
    # Tasks at one time.
    concurrency: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    prompt_via: Literal["stdin", "arg"] | UnsetType = UNSET
    # How it learns the schema of an answer: `prompt` as text, `data` (of the host) as `workflow/runTask` has it.
    schema: Literal["prompt", "data"] | UnsetType = UNSET
    output_format: Literal["text", "json"] | UnsetType = UNSET
    report_file: str | UnsetType = UNSET
    report_field: str | UnsetType = UNSET
    error_field: str | UnsetType = UNSET
    # Where in its JSON `inputTokens`, `outputTokens` and `costUsd` stand: a path, or several.
    usage: dict[str, str | list[str]] | UnsetType = UNSET

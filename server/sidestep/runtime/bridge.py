"""
The texts that cross between the sandbox and the server, and the only place that knows their shape.

Out of the sandbox comes one JSON object per call of a primitive:

    {"call": name, "payload": {...}, "line": int | null, "scopes": [int, ...]}

It becomes a `Call` with the same payload. Payloads, by name:

    command   {"id", "input": {"argv": [str, ...], "cwd"?: str, "env"?: {str: str}, "stdin"?: str, "check"?: false,
               "allow_truncated"?: true}, "title"?: str, "phase"?: str, "timeout_s"?: number, "on_error"?: "return"}
    sleep     {"id", "input": {"seconds": number}, and the same options}
    workflow  {"id", "input": {"workflow": str, "args"?: {str: JSON}}, and the same options}
    ask       {"id", "input": {"question": str, "choices"?: [str, ...], "schema"?: JSON Schema}, and the same options}
    agent     {"id", "input": {"prompt": str, "schema"?: JSON Schema, "agent"?: str, "isolation"?: "worktree"},
               "grace_s"?: number, "final_instructions"?: str, and the same options}
    apply_patch {"id", "input": {"patch": {"id": str}, "three_way"?: false, "paths"?: [str, ...]}, and the same options}
    phase     {"name": str, "details": {str: JSON}}
    log       {"message": str, "data": {str: JSON}}
    abort     {"scope": int}: a `parallel` failed; steps whose `scopes` hold it are to be stopped and then settled
    print     {"text": str, "stream": "stdout" | "stderr"}: one line, made by `printed.py`
    (park     {}: never reported and never answered)

What is left at its default is left out, so that a new option changes no key. Steps of one `parallel` may come together:
what a failure of one means, `"raise"` or `"return"`, and then each as a text of its own. Steps are answered:

    {"value": JSON}                                                    the step's output
    {"error": {"code", "message", "stepId"}, "text": what is raised}   its failure

and steps that came together with a list of such texts, in their order; or with one, the first failure that is raised.

A script can call the host by itself, so everything that comes out is checked as if a stranger had sent it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sidestep.model.execution import Call

if TYPE_CHECKING:
    from sidestep.model.execution import Settled
    from sidestep.model.run import Failure

STEPS = frozenset({"agent", "apply_patch", "ask", "command", "sleep", "workflow"})
NOTES = frozenset({"phase", "log", "abort"})
PARK = "park"

# What stands around a payload: name, line, and the scopes it stands in.
FRAME_BYTES_MAX = 64 * 1024
STEP_ID_CHARS_MAX = 500

_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class _Sent(msgspec.Struct):
    call: str
    payload: dict[str, Any]
    line: int | None
    scopes: list[int]


class _StepPayload(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    input: dict[str, Any]
    title: str | None = None
    phase: str | None = None
    timeout_s: float | None = None
    on_error: str = "raise"


class _CommandInput(msgspec.Struct, forbid_unknown_fields=True):
    argv: list[str]
    cwd: str | None = None
    env: dict[str, str] | None = None
    stdin: str | None = None
    check: bool = True
    allow_truncated: bool = False


class _SleepInput(msgspec.Struct, forbid_unknown_fields=True):
    seconds: int | float


class _WorkflowInput(msgspec.Struct, forbid_unknown_fields=True):
    workflow: str
    args: dict[str, Any] = {}


class _AgentPayload(_StepPayload, forbid_unknown_fields=True):
    grace_s: float | None = None
    final_instructions: str | None = None


class _AskInput(msgspec.Struct, forbid_unknown_fields=True):
    question: str
    choices: list[str] | None = None
    # `schema` is a dict of the author's; its shape is the engine's to judge.
    schema: dict[str, Any] | None = None


class _AgentInput(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    schema: dict[str, Any] | None = None
    agent: str | None = None
    isolation: Literal["none", "worktree"] = "none"


class _PatchInput(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _ApplyPatchInput(msgspec.Struct, forbid_unknown_fields=True):
    patch: _PatchInput
    three_way: bool = True
    paths: list[str] | None = None


class _PhasePayload(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    details: dict[str, Any]


class _LogPayload(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    data: dict[str, Any]


class _AbortPayload(msgspec.Struct, forbid_unknown_fields=True):
    scope: int


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


_PAYLOADS: dict[str, type[msgspec.Struct]] = {
    "agent": _AgentPayload,
    "apply_patch": _StepPayload,
    "ask": _StepPayload,
    "command": _StepPayload,
    "sleep": _StepPayload,
    "workflow": _StepPayload,
    "phase": _PhasePayload,
    "log": _LogPayload,
    "abort": _AbortPayload,
    PARK: _Nothing,
}
_INPUTS: dict[str, type[msgspec.Struct]] = {
    "agent": _AgentInput,
    "apply_patch": _ApplyPatchInput,
    "ask": _AskInput,
    "command": _CommandInput,
    "sleep": _SleepInput,
    "workflow": _WorkflowInput,
}

_decoder = msgspec.json.Decoder(_Sent)


def read_call(arguments: tuple[Any, ...], bytes_max: int) -> Call | str:
    """
    The call in what the sandbox handed to the host function, or why it is none.

    The call's `call_id` is None; whoever answers it gives it one.
    """
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        return "the host takes one text"
    text = arguments[0]
    if len(text) > bytes_max:
        return f"a call of {len(text)} bytes is over the limit of {bytes_max}"
    try:
        sent = _decoder.decode(text)
        shape = _PAYLOADS.get(sent.call)
        if shape is None:
            return f"there is no primitive {sent.call!r}"
        payload = msgspec.convert(sent.payload, shape)
        if isinstance(payload, _StepPayload):
            msgspec.convert(payload.input, _INPUTS[sent.call])
            if not 0 < len(payload.id) <= STEP_ID_CHARS_MAX:
                return "a step's id is a non-empty string"
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return f"that is no call: {error}"
    return Call(None, sent.call, sent.payload, line=sent.line, scopes=tuple(sent.scopes))


def read_group(arguments: tuple[Any, ...], bytes_max: int) -> tuple[list[Call], list[bool]] | str:
    """
    The steps that were asked for together, and for each whether its failure is that of all; or why that is none.

    Args:
        bytes_max: Of one call.
    """
    on_error, *texts = arguments
    if on_error not in ("raise", "return"):
        return "steps that come together say what a failure means, raise or return"
    calls: list[Call] = []
    for text in texts:
        call = read_call((text,), bytes_max)
        if isinstance(call, str):
            return call
        if call.name not in STEPS:
            return f"{call.name} is no step, and only steps come together"
        calls.append(call)
    return calls, [on_error == "raise" and call.payload.get("on_error") != "return" for call in calls]


def write_answer(settled: Settled) -> str:
    """The text a step's coroutine is resumed with."""
    if settled.error is None:
        assert settled.value_json is not None, "a completion is a value or an error"
        return '{"value":' + crossable(settled.value_json) + "}"
    error = settled.error
    told = {"code": error.code.value, "message": error.message, "stepId": error.step_id}
    return crossable(json.dumps({"error": told, "text": failure_text(error)}, ensure_ascii=False))


def failure_text(error: Failure) -> str:
    """What the script sees raised: `<code> in step <id as JSON>: <message>`; `failure(error)` takes it apart."""
    return f"{error.code.value} in step {json.dumps(error.step_id, ensure_ascii=False)}: {error.message}"


def crossable(text: str) -> str:
    """JSON text without lone surrogates, which JavaScript can send and the sandbox's strings cannot hold."""
    if _LONE_SURROGATE.search(text) is None:
        return text
    plain = json.dumps(json.loads(text), ensure_ascii=False)
    # As UTF-16 pairs become one character, and halves the replacement character.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

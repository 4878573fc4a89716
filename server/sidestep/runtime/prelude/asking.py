"""
From a step that was made to its answer: alone, or together with all others that one `parallel` was given.

A step is made by calling its primitive, which gives a coroutine, and asked for when that is awaited. `parallel` that is
given nothing but such coroutines asks for all of them in one crossing and is answered in one: what a script can see is
when the last has its answer, or the first fails, and both stand in the journal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sidestep.runtime.prelude.scopes import abort, current, open_scope, state, stop_if_aborted

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sidestep.runtime.prelude.scopes import Chain

    # Parameters of the function these modules become the body of; `loader.PreludeLimits` describes the limits.
    def host(*texts: str) -> Any: ...
    def waiting_host(*texts: str) -> Any: ...


_FAILURE = re.compile(r'(script|step|validation|timeout|infrastructure|limit) in step ("(?:[^"\\]|\\.)*"): ')

# Steps that nobody has awaited yet: id of the coroutine -> (the coroutine, which keeps that id its own; the step).
_made: dict[int, tuple[Any, _Step]] = {}


class _Step:
    """A step call, checked."""

    def __init__(
        self, name: str, step_id: str, payload: str, line: int | None, on_error: str, created: Chain | None
    ) -> None:
        self.name = name
        self.step_id = step_id
        self.payload = payload
        self.line = line
        self.on_error = on_error
        self.created = created
        self.made_as = 0
        self.is_taken = False

    def text(self, chain: Chain) -> str:
        call = f'"{self.name}","line":' + json.dumps(self.line) + ',"scopes":' + json.dumps(list(chain))
        return '{"call":' + call + ',"payload":' + self.payload + "}"


def make_step(
    name: str, step_id: str, payload: str, line: int | None, on_error: str, created: Chain | None
) -> Awaitable[Any]:
    step = _Step(name, step_id, payload, line, on_error, created)
    made = _perform(step)
    step.made_as = id(made)
    _made[step.made_as] = (made, step)
    return made


def take_steps(items: list[Any]) -> list[Any] | None:
    """The steps behind coroutines, which count as awaited from now on; None, and nothing is taken, when one is none."""
    steps: list[Any] = []
    for item in items:
        found = _made.get(id(item))
        if found is None or found[1].is_taken:
            for step in steps:
                step.is_taken = False
            return None
        found[1].is_taken = True
        steps.append(found[1])
    for step in steps:
        _made.pop(step.made_as)
    return steps


async def perform_together(steps: list[Any], on_error: str, created: Chain) -> list[Any]:
    """Results in order, in a scope of their own; raises the first failure, unless failures are to be returned."""
    parent = current(created)
    await stop_if_aborted(parent, None)
    scope = open_scope()
    chain = (*parent, scope)
    texts = [step.text(chain) for step in steps]
    if state["gathers"] == 0:
        answers = waiting_host(on_error, *texts)
    else:
        state["scope"] = None
        answers = await host(on_error, *texts)
        state["scope"] = parent
    if isinstance(answers, str):
        # The failure of one of them: the others are to be stopped.
        abort(scope)
        return [_result("", answers, "raise")]
    results: list[Any] = []
    for step, text in zip(steps, answers, strict=True):
        results.append(_result(step.step_id, text, "return" if on_error == "return" else step.on_error))
    return results


async def _perform(step: Any) -> Any:
    if step.is_taken:
        raise RuntimeError("cannot reuse already awaited coroutine")
    _made.pop(step.made_as)
    chain = current(step.created)
    try:
        await stop_if_aborted(chain, step.step_id)
    except RuntimeError as error:
        if step.on_error == "return":
            return as_error(error)
        raise
    if state["gathers"] == 0:
        answer = waiting_host(step.text(chain))
    else:
        state["scope"] = None
        answer = await host(step.text(chain))
        state["scope"] = chain
    return _result(step.step_id, answer, step.on_error)


def _result(step_id: str, text: str, on_error: str) -> Any:
    answer = _read_answer(step_id, text)
    if "error" not in answer:
        return answer["value"]
    if on_error == "return":
        return {"error": answer["error"]}
    if answer["error"]["code"] == "timeout":
        raise TimeoutError(answer["text"])
    raise RuntimeError(answer["text"])


def _read_answer(step_id: str, text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        # Nested deeper than the sandbox's reader goes.
        message = f"the output cannot be given to the script: {error}"
        text = f"validation in step {json.dumps(step_id, ensure_ascii=False)}: {message}"
        return {"error": {"code": "validation", "message": message, "stepId": step_id}, "text": text}


def failure(error: Any) -> dict[str, Any]:
    text = str(error)
    found = _FAILURE.match(text)
    if found is None:
        return {"step": None, "code": "script", "message": f"{type(error).__name__}: {text}"}
    return {"step": json.loads(found.group(2)), "code": found.group(1), "message": text[found.end() :]}


def as_error(error: Any) -> dict[str, Any]:
    found = failure(error)
    return {"error": {"code": found["code"], "message": found["message"], "stepId": found["step"]}}

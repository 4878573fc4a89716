"""The steps, phases and log lines, and what calls `main`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidestep.runtime.prelude.asking import make_step
from sidestep.runtime.prelude.checks import (
    expect_choice,
    expect_flag,
    expect_object,
    expect_strings,
    expect_text,
    expect_texts,
    is_awaitable,
    is_number,
    kind_of,
    know_options,
    not_json,
)
from sidestep.runtime.prelude.scopes import state

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    # Parameters of the function these modules become the body of; `loader.PreludeLimits` describes the limits.
    def host(text: str) -> Any: ...

    limits: dict[str, int] = {}

# What the loader wraps a step's id in, to tell the line of the call: (_LINE_MARK, line, id).
_LINE_MARK = "\0line"


def command(
    argv: Any,
    *,
    id: Any = None,
    cwd: Any = None,
    env: Any = None,
    stdin: Any = None,
    check: Any = True,
    allow_truncated: Any = False,
    **options: Any,
) -> Awaitable[Any]:
    name = "command"
    know_options(name, options, ("cwd", "env", "stdin", "check", "allow_truncated"))
    if isinstance(argv, str):
        raise TypeError(
            f'command() takes a list of strings, not one string, e.g. ["ls", "-l"]; there is no shell: {argv!r}'
        )
    if not isinstance(argv, (list, tuple)) or not argv:
        raise TypeError(f"command() takes a non-empty list of strings, not {kind_of(argv)}")
    for position, part in enumerate(argv):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not isinstance(part, str):
            raise TypeError(f"command(): argv[{position}] is {kind_of(part)}, not a string: {part!r}")
    expect_text(name, "cwd", cwd)
    expect_text(name, "stdin", stdin)
    expect_flag(name, "check", check)
    expect_flag(name, "allow_truncated", allow_truncated)
    if env is not None:
        expect_texts(name, "env", env)
    # What is left at its default is left out, so that a new option changes no key.
    step_input: dict[str, Any] = {"argv": list(argv)}  # pyright: ignore[reportUnknownArgumentType]
    if cwd is not None:
        step_input["cwd"] = cwd
    if env:
        step_input["env"] = dict(env)
    if stdin is not None:
        step_input["stdin"] = stdin
    if not check:
        step_input["check"] = False
    if allow_truncated:
        step_input["allow_truncated"] = True
    return _step(name, id, step_input, options)


def sleep(seconds: Any, *, id: Any = None, **options: Any) -> Awaitable[Any]:
    know_options("sleep", options, ())
    if not is_number(seconds) or seconds < 0:
        raise TypeError(f"sleep() takes a number of seconds, 0 or more, not {seconds!r}")
    return _step("sleep", id, {"seconds": seconds}, options)


def agent(
    prompt: Any,
    *,
    id: Any = None,
    schema: Any = None,
    agent: Any = None,
    isolation: Any = "none",
    grace_s: Any = None,
    final_instructions: Any = None,
    **options: Any,
) -> Awaitable[Any]:
    name = "agent"
    know_options(name, options, ("schema", "agent", "isolation", "grace_s", "final_instructions"))
    expect_text(name, "prompt", prompt, required=True)
    expect_object(name, "schema", schema)
    expect_text(name, "agent", agent)
    expect_choice(name, "isolation", isolation, ("none", "worktree"))
    expect_text(name, "final_instructions", final_instructions)
    if grace_s is not None and (not is_number(grace_s) or grace_s < 0):
        raise TypeError(f"agent(): grace_s is {grace_s!r}, not a number of seconds, 0 or more")
    if options.get("timeout_s") is None and (grace_s is not None or final_instructions is not None):
        raise TypeError("agent(): grace_s and final_instructions say what happens at timeout_s; give that, too")
    step_input: dict[str, Any] = {"prompt": prompt}
    if schema is not None:
        step_input["schema"] = schema
    if agent is not None:
        step_input["agent"] = agent
    if isolation != "none":
        step_input["isolation"] = isolation
    # How its time ends is not what the work is: it stands beside the input, as timeout_s does.
    return _step(name, id, step_input, options, {"grace_s": grace_s, "final_instructions": final_instructions})


def workflow(name_or_path: Any, *, id: Any = None, args: Any = None, **options: Any) -> Awaitable[Any]:
    know_options("workflow", options, ("args",))
    expect_text("workflow", "name_or_path", name_or_path, required=True)
    expect_object("workflow", "args", args)
    step_input: dict[str, Any] = {"workflow": name_or_path}
    if args:
        step_input["args"] = args
    return _step("workflow", id, step_input, options)


def ask(question: Any, *, id: Any = None, schema: Any = None, choices: Any = None, **options: Any) -> Awaitable[Any]:
    know_options("ask", options, ("schema", "choices"))
    expect_text("ask", "question", question, required=True)
    expect_object("ask", "schema", schema)
    step_input: dict[str, Any] = {"question": question}
    if schema is not None:
        step_input["schema"] = schema
    if choices is not None:
        if schema is not None:
            raise TypeError("ask(): give choices or a schema, not both")
        expect_strings("ask", "choices", choices)
        if len(choices) == 0 or len({choice: True for choice in choices}) != len(choices):
            raise ValueError("ask(): choices are one or more different strings")
        step_input["choices"] = list(choices)
    return _step("ask", id, step_input, options)


def apply_patch(
    patch: Any, *, id: Any = None, three_way: Any = True, paths: Any = None, **options: Any
) -> Awaitable[Any]:
    know_options("apply_patch", options, ("three_way", "paths"))
    if isinstance(patch, dict) and isinstance(patch.get("patch"), dict):  # pyright: ignore[reportUnknownMemberType]
        raise TypeError('apply_patch() takes the patch alone, not all that the agent gave; give its ["patch"]')
    if not isinstance(patch, dict) or not isinstance(patch.get("id"), str):  # pyright: ignore[reportUnknownMemberType]
        raise TypeError(f"apply_patch() takes the patch of an agent that worked in a worktree, not {kind_of(patch)}")
    expect_flag("apply_patch", "three_way", three_way)
    step_input: dict[str, Any] = {"patch": {"id": patch["id"]}}
    if not three_way:
        step_input["three_way"] = False
    if paths is not None:
        expect_strings("apply_patch", "paths", paths)
        step_input["paths"] = list(paths)
    return _step("apply_patch", id, step_input, options)


def phase(*given: Any, **details: Any) -> None:
    name = _subject("phase", "name", given, details)
    expect_text("phase", "name", name, required=True)
    _note("phase", {"name": name, "details": details})


def log(*given: Any, **data: Any) -> None:
    message = _subject("log", "message", given, data)
    if not isinstance(message, str):
        raise TypeError(f'log() takes a text and named values, e.g. log("done", count=3), not {kind_of(message)}')
    head = message.encode()[: limits["log_bytes"]].decode("utf-8", "ignore")
    if len(head) < len(message):
        message = head + f"... ({len(message) - len(head)} characters more)"
    _note("log", {"message": message, "data": data})


def _subject(primitive: str, name: str, given: Any, named: dict[str, Any]) -> Any:
    # Monty's `/` refuses a keyword of the same name, and log("failed", **failure(error)) has one: "message".
    if len(given) == 1:
        return given[0]
    if not given and name in named:
        return named.pop(name)
    raise TypeError(f"{primitive}() takes one {name} and named values, not {len(given)} values without a name")


def at(line: int, primitive: Callable[..., Any]) -> Callable[..., Any]:
    """What the loader puts around the names `phase` and `log`, to tell the line of their call."""
    state["line"] = line
    return primitive


async def run_main(main: Any, args_text: str) -> str:
    """
    Call `main` with its arguments.

    Returns:
        JSON text: `{"value": ...}`; or, when the result cannot leave, `{"problem": text, "code": code of a failure}`.
    """
    result = main(**json.loads(args_text))
    if is_awaitable(result):
        result = await result
    problem = not_json(result, "$")
    if problem is not None:
        return json.dumps({"problem": "the result at " + problem, "code": "validation"})
    text = json.dumps(result, ensure_ascii=False)
    size, most = len(text.encode()), limits["result_bytes"]
    if size > most:
        message = f"the result has {size} bytes as JSON, the limit is {most}"
        return json.dumps({"problem": message, "code": "limit"})
    return '{"value":' + text + "}"


def _step(
    name: str, id: Any, step_input: dict[str, Any], options: dict[str, Any], beside: dict[str, Any] | None = None
) -> Awaitable[Any]:
    """
    Check a step's common options and make its coroutine; whatever is wrong raises here, at the author's line.

    `beside` is what its kind takes that makes it no other work; None in it is left out.
    """
    step_id, line = _check_step(name, id, options)
    payload: dict[str, Any] = {"id": step_id, "input": step_input}
    for option, value in (beside or {}).items():
        if value is not None:
            payload[option] = value
    for option in ("title", "phase", "timeout_s"):
        if options.get(option) is not None:
            payload[option] = options[option]
    on_error = options.get("on_error", "raise")
    if on_error != "raise":
        payload["on_error"] = on_error
    text = _sized(name, payload, limits["step_bytes"])
    return make_step(name, step_id, text, line, on_error, state["scope"])


def _check_step(name: str, id: Any, options: dict[str, Any]) -> tuple[str, int | None]:
    line: int | None = None
    if type(id) is tuple and len(id) == 3 and id[0] == _LINE_MARK:  # pyright: ignore[reportUnknownArgumentType]
        line, id = id[1], id[2]  # pyright: ignore[reportUnknownVariableType]
    if id is None:
        raise TypeError(f'{name}() needs an id, e.g. id="{name}:1"; it names the step in the journal')
    if not isinstance(id, str) or not id.strip():
        what = repr(id) if isinstance(id, str) else kind_of(id)
        raise TypeError(f"{name}(): id is {what}, not a non-empty string")
    if len(id) > limits["id_chars"]:
        raise ValueError(f"{name}(): id has {len(id)} characters, the limit is {limits['id_chars']}")
    expect_text(name, "title", options.get("title"))
    expect_text(name, "phase", options.get("phase"))
    timeout_s = options.get("timeout_s")
    if timeout_s is not None and (not is_number(timeout_s) or timeout_s <= 0):
        raise TypeError(f"{name}(): timeout_s is {timeout_s!r}, not a number of seconds above 0")
    expect_choice(name, "on_error", options.get("on_error", "raise"), ("raise", "return"))
    return id, line  # pyright: ignore[reportUnknownVariableType]


def _sized(name: str, value: dict[str, Any], bytes_max: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    size = len(text.encode())
    if size > bytes_max:
        raise ValueError(f"{name}() was given {size} bytes, the limit is {bytes_max}")
    return text


def _note(name: str, payload: dict[str, Any]) -> None:
    line, state["line"] = state["line"], None
    problem = not_json(payload, "")
    if problem is not None:
        raise TypeError(f"{name}(): {problem}")
    host(_sized(name, {"call": name, "payload": payload, "line": line, "scopes": []}, limits["note_bytes"]))

"""
Which `parallel` a coroutine stands in, so that one that fails can stop the rest.

Monty has no context variables. `state["scope"]` holds the chain of scopes, outermost first, of whichever coroutine is
running, under these rules:
    - what starts a coroutine sets it first (`enter`), within the same turn of that coroutine;
    - a step sets None before it waits and its own chain again after, so that nobody inherits it by accident;
    - `parallel`, `pipeline` and `gather` set their own chain again after they have waited.
A coroutine that finds None (started by a `gather` the loader did not see) uses the chain its step was made under.

Trap: Monty drops the deeper frames of a traceback, and so the author's line, at every `except` and `finally` that an
error passes. Awaiting a finished gather a second time raises its error with all its frames: that is how errors leave
`gather` and `parallel`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Chain = tuple[int, ...]

    # Parameters of the function these modules become the body of; `loader.PreludeLimits` describes the limits.
    def host(text: str) -> Any: ...


# After so many refusals a coroutine that was stopped, and asks again and again, waits for ever instead.
_REFUSALS_MAX = 1000

# "gathers" counts those under way. One that failed stays counted: what it started may still be running.
state: dict[str, Any] = {"scope": (), "scopes": 0, "aborted": set(), "refusals": 0, "line": None, "gathers": 0}


async def enter(chain: Chain, task: Any) -> Any:
    state["scope"] = chain
    return await task


def current(created: Chain | None) -> Chain:
    entered = state["scope"]
    if entered is not None:
        return entered
    return created if created is not None else ()


def open_scope() -> int:
    state["scopes"] += 1
    return state["scopes"]


def abort(scope: int) -> None:
    """A `parallel` has failed: its scope may ask for nothing more, and what it has asked for is to be stopped."""
    state["aborted"].add(scope)
    host(json.dumps({"call": "abort", "payload": {"scope": scope}, "line": None, "scopes": []}))


async def stop_if_aborted(chain: Chain, step_id: str | None) -> None:
    """A `parallel` this stands in has failed: whatever it asks for now is refused."""
    for scope in chain:
        if scope in state["aborted"]:
            state["refusals"] += 1
            if state["refusals"] > _REFUSALS_MAX:
                await host(json.dumps({"call": "park", "payload": {}, "line": None, "scopes": []}))
            message = "stopped, because a sibling failed"
            if step_id is None:
                raise RuntimeError(message)
            raise RuntimeError(f"step in step {json.dumps(step_id, ensure_ascii=False)}: {message}")


async def gather(*tasks: Any) -> Any:
    """What the loader puts in the place of `asyncio.gather`: the same, and its tasks know their scope."""
    chain = state["scope"]
    state["gathers"] += 1
    if chain is None:
        results = await asyncio.gather(*tasks)
        state["gathers"] -= 1
        return results
    both = asyncio.gather(*[enter(chain, task) for task in tasks])
    state["scope"] = None
    try:
        await both
        state["gathers"] -= 1
    except BaseException:
        # Raised again below, with its frames.
        pass
    state["scope"] = chain
    return await both

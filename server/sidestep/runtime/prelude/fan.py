"""`parallel` and `pipeline`: many coroutines at once, in a scope of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sidestep.runtime.prelude.asking import as_error, perform_together, take_steps
from sidestep.runtime.prelude.checks import (
    expect_choice,
    expect_limit,
    expect_width,
    is_awaitable,
    kind_of,
    know_options,
)
from sidestep.runtime.prelude.scopes import abort, current, enter, open_scope, state, stop_if_aborted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.runtime.prelude.scopes import Chain


def parallel(tasks: Any, *, limit: Any = None, on_error: Any = "raise", **options: Any) -> Awaitable[Any]:
    name = "parallel"
    know_options(name, options, ("limit", "on_error"), step=False)
    expect_limit(name, limit)
    expect_choice(name, "on_error", on_error, ("raise", "return"))
    if is_awaitable(tasks) or isinstance(tasks, str):
        raise TypeError(f"parallel() takes a list or a dict of coroutines, not {kind_of(tasks)}")
    keys: list[Any] | None = None
    items: list[Any]
    if isinstance(tasks, dict):
        keys, items = [*tasks.keys()], [*tasks.values()]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    else:
        items = list(tasks)
    expect_width(name, len(items))
    for position, item in enumerate(items):
        if not is_awaitable(item):
            where = repr(keys[position]) if keys is not None else str(position)
            raise TypeError(
                f"parallel(): item {where} is {kind_of(item)}, not a coroutine; "
                "give it the call itself, without await, e.g. parallel([f(1), f(2)])"
            )

    created = state["scope"]

    async def in_the_shape_given() -> Any:
        steps = take_steps(items) if items and (limit is None or limit >= len(items)) else None
        if steps is not None:
            results = await perform_together(steps, on_error, created)
        else:
            results = await _Fan(lambda position: items[position], len(items), limit, on_error, created).run()
        if keys is None:
            return results
        return dict(zip(keys, results, strict=True))

    return in_the_shape_given()


def pipeline(items: Any, *stages: Any, limit: Any = None, on_error: Any = "raise", **options: Any) -> Awaitable[Any]:
    name = "pipeline"
    know_options(name, options, ("limit", "on_error"), step=False)
    expect_limit(name, limit)
    expect_choice(name, "on_error", on_error, ("raise", "return"))
    if is_awaitable(items):
        raise TypeError("pipeline() takes a list of items first, then its stages")
    values = list(items)
    expect_width(name, len(values))
    for position, stage in enumerate(stages):
        if stage is None or isinstance(stage, (str, int, float, list, tuple, dict)) or is_awaitable(stage):
            raise TypeError(f"pipeline(): stage {position + 1} is {kind_of(stage)}, not a function of one value")

    async def through(position: int) -> Any:
        value = values[position]
        for stage in stages:
            value = stage(value)
            if is_awaitable(value):
                value = await value
        return value

    return _Fan(through, len(values), limit, on_error, state["scope"]).run()


class _Fan:
    """
    Awaits `width` items, at most `limit` at once, in one scope of their own; the work of `parallel` and `pipeline`.

    Workers take the next item when they are free: a sliding window, and nothing starts after the first failure.
    """

    def __init__(
        self, item: Callable[[int], Any], width: int, limit: int | None, on_error: str, created: Chain | None
    ) -> None:
        self.item = item
        self.width = width
        self.workers = width if limit is None else min(limit, width)
        self.on_error = on_error
        self.taken = 0
        self.results: list[Any] = [None] * width
        self.failed: Any = None
        self.created = created
        self.scope = 0
        self.chain: Chain = ()

    async def run(self) -> list[Any]:
        parent = current(self.created)
        await stop_if_aborted(parent, None)
        self.scope = open_scope()
        self.chain = (*parent, self.scope)
        workers = asyncio.gather(*[self.work() for _ in range(self.workers)])
        state["scope"] = None
        state["gathers"] += 1
        try:
            await workers
            state["gathers"] -= 1
        except BaseException:
            # The first failure is raised below, with its frames.
            pass
        state["scope"] = parent
        if self.failed is not None:
            await self.failed
        return self.results

    async def work(self) -> None:
        while self.failed is None and self.taken < self.width:
            position = self.taken
            self.taken += 1
            attempt = asyncio.gather(enter(self.chain, self.item(position)))
            try:
                self.results[position] = (await attempt)[0]
            except BaseException as error:
                if self.on_error == "return" and isinstance(error, Exception):
                    self.results[position] = as_error(error)
                    continue
                if self.failed is None:
                    self.failed = attempt
                    abort(self.scope)
                raise

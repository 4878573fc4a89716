"""
LangGraph with its SQLite checkpointer and `durability="sync"`: each superstep's checkpoint is stored before the next.

Steps one after the other are a node that goes to itself; steps all at once are one superstep of `Send`s; runs at once
are threads, as its documentation has it for the synchronous checkpointer. It has no verb that cancels a run: what is
measured is cancelling the task that executes the graph, with the checkpointer for asyncio.
"""

from __future__ import annotations

import asyncio
import operator
import os
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from program import PAGE, HeldStep, Teller, main, now, tick_in_child, wait_for_file

HELD_THREAD = "held"


class Turns(TypedDict):
    number: int
    count: int
    held: int
    first_began: float


class Wide(TypedDict):
    count: int
    done: Annotated[int, operator.add]


class Ticks(TypedDict):
    ticks: str


class LangGraphEngine:
    def __init__(self, folder: str, teller: Teller, is_recovering: bool) -> None:
        self._database = os.path.join(folder, "langgraph.sqlite")
        self._held_step = HeldStep(teller, is_recovering=is_recovering)
        self._teller = teller

    async def open(self) -> None:
        # As `SqliteSaver.from_conn_string` opens it.
        connection = sqlite3.connect(self._database, check_same_thread=False)
        self._saver = SqliteSaver(connection)
        self._saver.setup()
        self._in_turn = self._turns_graph()
        self._at_once = self._wide_graph()
        self._waiting = self._waiting_graph()

    async def close(self) -> None:
        self._saver.conn.close()

    async def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("langgraph", "langgraph-checkpoint-sqlite")}

    async def sequential(self, count: int) -> float:
        began = now()
        await asyncio.to_thread(self._turns, count)
        return now() - began

    async def fan_out(self, count: int) -> float:
        began = now()
        config = _config(1, max_concurrency=None)
        done = await asyncio.to_thread(
            lambda: self._at_once.invoke({"count": count, "done": 0}, config, durability="sync")
        )
        assert done["done"] == count
        return now() - began

    async def concurrent(self, runs: int, steps: int) -> float:
        began = now()
        with ThreadPoolExecutor(runs) as threads:
            assert len(list(threads.map(self._turns, [steps] * runs))) == runs
        return now() - began

    async def start(self) -> float:
        began = now()
        return (await asyncio.to_thread(self._turns, 1))["first_began"] - began

    async def cancel(self, ticks: str) -> list[float]:
        async def work(state: Ticks) -> Ticks:
            await tick_in_child(ticks)
            return state

        async with AsyncSqliteSaver.from_conn_string(self._database) as saver:
            graph = StateGraph(Ticks)
            graph.add_node("work", work)
            graph.add_edge(START, "work")
            compiled = graph.compile(checkpointer=saver)
            running = asyncio.ensure_future(compiled.ainvoke({"ticks": ticks}, _config(1), durability="sync"))
            await wait_for_file(ticks)
            asked = now()
            running.cancel()
            await asyncio.wait([running])
            return [asked, now()]

    async def hold(self, count: int) -> None:
        await asyncio.to_thread(self._turns, count + 1, count, HELD_THREAD)

    async def go_on(self) -> None:
        config = _config(100_000, HELD_THREAD)
        await asyncio.to_thread(lambda: self._in_turn.invoke(None, config, durability="sync"))

    async def wait(self, count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(self._waiting.invoke, {"ticks": ""}, _config(1), durability="sync")

    async def fill(self, count: int) -> None:
        """More runs of its own would take hours: copies of the last checkpoint of one."""
        await asyncio.to_thread(self._turns, 1)
        database = sqlite3.connect(self._database)
        with database:
            database.row_factory = sqlite3.Row
            row = dict(database.execute("SELECT * FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1").fetchone())
            stored = database.execute("SELECT count(DISTINCT thread_id) FROM checkpoints").fetchone()[0]
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.executemany(
                f"INSERT INTO checkpoints ({names}) VALUES ({marks})",
                ([*{**row, "thread_id": str(uuid.uuid4())}.values()] for _ in range(count - stored)),
            )
        database.close()

    async def list(self) -> float:
        began = now()
        assert len(await asyncio.to_thread(lambda: list(self._saver.list(None, limit=PAGE)))) == PAGE
        return now() - began

    def _turns(self, count: int, held: int = -1, thread: str | None = None) -> dict[str, Any]:
        state: Turns = {"number": 0, "count": count, "held": held, "first_began": 0.0}
        done = self._in_turn.invoke(state, _config(count, thread), durability="sync")
        assert done["number"] == count
        return done

    def _turns_graph(self) -> Any:
        def step(state: Turns) -> dict[str, Any]:
            began = now()
            while self._held_step.begin(state["number"], state["held"]):
                time.sleep(3600)
            return {"number": state["number"] + 1, "first_began": state["first_began"] or began}

        graph = StateGraph(Turns)
        graph.add_node("step", step)
        graph.add_edge(START, "step")
        graph.add_conditional_edges("step", lambda state: END if state["number"] == state["count"] else "step")
        return graph.compile(checkpointer=self._saver)

    def _wide_graph(self) -> Any:
        def step(state: Any) -> dict[str, int]:
            return {"done": 1}

        graph = StateGraph(Wide)
        graph.add_node("step", step)
        graph.add_conditional_edges(START, lambda state: [Send("step", {}) for _ in range(state["count"])])
        return graph.compile(checkpointer=self._saver)

    def _waiting_graph(self) -> Any:
        def ask(state: Ticks) -> Ticks:
            return {"ticks": interrupt("never answered")}

        graph = StateGraph(Ticks)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        return graph.compile(checkpointer=self._saver)


def _config(steps: int, thread: str | None = None, **more: Any) -> Any:
    return {"configurable": {"thread_id": thread or str(uuid.uuid4())}, "recursion_limit": steps + 10, **more}


if __name__ == "__main__":
    main(LangGraphEngine)

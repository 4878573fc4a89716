"""The words of the report: names of engines, headings of workloads, what each engine promises of a finished step."""

from __future__ import annotations

from typing import NamedTuple

ENGINE_WORDS = {
    "sidestep": "Sidestep",
    "sidestep-stdio": "Sidestep, stdio",
    "dbos": "DBOS Transact",
    "langgraph": "LangGraph",
    "restate": "Restate",
}

HOW = {
    "sidestep": "the service in the process that asks; script in the sandbox; SQLite, WAL, `synchronous=FULL`",
    "sidestep-stdio": "`sidestep serve` in a process of its own, asked by a host that follows events; same store",
    "dbos": "plain workflows and steps; SQLite as its documentation sets it up: rollback journal, `FULL`",
    "langgraph": 'a graph with the SQLite checkpointer and `durability="sync"`: WAL, `FULL`',
    "restate": "its server in its default configuration (one node, 24 partitions) and Python services under hypercorn",
}


class Heading(NamedTuple):
    title: str
    what: str


HEADINGS = {
    "sequential": Heading(
        "Steps one after the other",
        "Cost of a step in a run of N trivial steps, start and end of the run included",
    ),
    "fanOut": Heading("Steps at once", "Cost of a step in a run that asks for N at once"),
    "concurrent": Heading("Runs at once", "Cost of a step when N runs of 20 steps are asked for at once"),
    "start": Heading("Start", "From the request of a run to the first instruction of its first step"),
    "cancel": Heading(
        "Cancel",
        "A step waits for a child process: from the order to stop until it is answered and the child is gone. "
        "LangGraph has no such order: its task is dropped, and nothing about that is stored",
    ),
    "startup": Heading(
        "Start of the engine", "From the spawn of its process, with an empty store, until it takes work"
    ),
    "kill": Heading(
        "After kill -9",
        "A run is killed after N finished steps: from the spawn of the next process to the first new step",
    ),
    "listing": Heading(
        "Listing",
        "The newest 20 of N stored runs (in Restate, which takes only runs of its own, of 3,000 at most)",
    ),
    "syncs": Heading(
        "What is made durable",
        "`fsync` and `fdatasync` calls for each of N sequential steps, start and end of the run included, by strace; "
        "the floor's commit makes one",
    ),
    "storage": Heading("On disk", "Bytes that one of N sequential steps adds to what is stored"),
    "memory": Heading("Peak memory", "Largest resident sets of all its processes in a run of N steps, added up"),
    "waiting": Heading("Waiting runs", "Memory that each of N waiting runs takes, what processes share counted once"),
}

"""
A host program that does agent steps, for tests that kill it: `python task_host.py STORE FOLDER [SCRIPT]`.

With SCRIPT it starts that file's workflow. It prints a line of JSON for its server's process, each task it is given and
each start of a step it is told. A task is done if the file `go` lies in FOLDER, and left at work if not. The program
ends with the run.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sidestep_protocol.client import Client
from sidestep_protocol.events import StepEvent
from sidestep_protocol.host_tasks import HostTasks
from sidestep_protocol.runs import ScriptRef
from sidestep_protocol.tasks import RunTaskResult

if TYPE_CHECKING:
    from sidestep_protocol.host_tasks import HostTask
    from sidestep_protocol.notifications import EventsAppendedNotification


def tell_starts(told: EventsAppendedNotification) -> None:
    for event in told.events:
        if isinstance(event, StepEvent) and event.status == "started":
            print(json.dumps({"started": event.step_id}), flush=True)


async def main(store: str, folder: str, source: str | None, *, may_end: bool) -> None:
    async def do(task: HostTask) -> RunTaskResult:
        print(json.dumps(msgspec.to_builtins(task.params)), flush=True)
        if not may_end:
            await asyncio.get_running_loop().create_future()
        return RunTaskResult(report="done", usage={"inputTokens": 10, "costUsd": 0.5})

    command = [sys.executable, "-m", "sidestep", "serve", f"--store={store}"]
    async with HostTasks(do) as tasks, Client.spawn(command) as client:
        tasks.serve(client)
        over = asyncio.Event()
        client.on("workflow/statusChanged", lambda told: over.set() if told.status == "completed" else None)
        client.on("workflow/eventsAppended", tell_starts)
        print(json.dumps({"serverPid": client.pid}), flush=True)
        await client.initialize(folders=[folder], trust=True)
        if source is not None:
            await client.start_background(ScriptRef(source=source), events=True)
        await over.wait()
        await client.shutdown()


if __name__ == "__main__":
    store, folder, *scripts = sys.argv[1:]
    source = Path(scripts[0]).read_text(encoding="utf-8") if scripts else None
    asyncio.run(main(store, folder, source, may_end=Path(folder, "go").exists()))

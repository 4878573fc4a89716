"""
The product's promise, shown: a run survives the death of its server, and no finished step is done again.

    python -m sidestep.cli.demo

Plays the host: spawns servers as an editor would, over the protocol alone. Nothing is timed. The first run is left in
peace and says how many steps there are; the second loses its server to SIGKILL on receipt of the step in the middle;
another server resumes it. The proof is read from the journal: reused + ran = all, and the report is the same.

Leaves nothing behind: store, trust and logs stand in a temporary folder. Exit code 1 when the promise is broken.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidestep.cli.demo_gate import GitGate
from sidestep.cli.demo_repository import DemoRepository, GitMissing, find_or_make
from sidestep.cli.display import display_of
from sidestep.cli.edge import forsake_stdout, print_whatever_it_is
from sidestep.cli.exits import Exit
from sidestep.cli.outcome import print_markdown
from sidestep.cli.run_view import RunView
from sidestep.cli.terminal_text import duration, one_line, plural
from sidestep_protocol.capabilities import InitializationOptions
from sidestep_protocol.client import Client, ClientError, ServerGone
from sidestep_protocol.events import StepEvent
from sidestep_protocol.runs import RunOutcome, ScriptRef, StepSummary
from sidestep_protocol.workflow import StepsParams, StepsResult

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

    from sidestep_protocol.notifications import EventsAppendedNotification, StatusChangedNotification

WORKFLOW = ScriptRef(name="repo-report")
_SECONDS_MAX = 120
_LABEL = "killed half-way"


class PromiseBroken(Exception):
    """What was shown is not what is promised; the message says how."""


@dataclass(frozen=True)
class Counted:
    """Steps of a run as `workflow/steps` tells them."""

    reused: list[str]
    ran: list[str]
    unfinished: list[str]

    @classmethod
    def of(cls, steps: list[StepSummary]) -> Counted:
        done = [step for step in steps if step.status == "completed"]
        return cls(
            reused=[step.step_id for step in done if step.reused],
            ran=[step.step_id for step in done if not step.reused],
            unfinished=[step.step_id for step in steps if step.status != "completed"],
        )


class Demo:
    """One showing."""

    def __init__(self, repository: DemoRepository, place: Path) -> None:
        self._folder = repository.folder
        self._uri = repository.folder.as_uri()
        self._place = place
        self._parts = ExitStack()
        self._log = self._parts.enter_context((place / "server.log").open("ab"))

    async def show(self) -> None:
        """
        Tell the whole story.

        Raises:
            PromiseBroken: it ended differently.
        """
        async with asyncio.timeout(_SECONDS_MAX):
            gate = GitGate(self._place / "gate")
            self._parts.callback(gate.open)
            async with self._server(gate.environ(os.environ)) as client:
                await self._greet(client)
                undisturbed = await self._run_undisturbed(client)
                run_id = await self._run_until_killed(client, gate, undisturbed.steps.completed // 2)
            async with self._server() as client:
                await self._greet(client)
                outcome = await self._resume(client, run_id)
                self._prove(undisturbed, outcome, await _all_steps(client, run_id))
                await client.shutdown()
        print_markdown(_report(outcome))

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        self._parts.close()

    async def _run_undisturbed(self, client: Client) -> RunOutcome:
        _say(f"1. A run that is left in peace, to see what there is to do. Its server is process {client.pid}.")
        began = time.monotonic()
        outcome = await client.start(WORKFLOW, workspace_folder=self._uri, label="undisturbed")
        if outcome.status != "completed":
            raise PromiseBroken(f"the run {outcome.status}: {outcome.error.message if outcome.error else 'no reason'}")
        took = duration(round((time.monotonic() - began) * 1000))
        _say(f"   {plural(outcome.steps.completed, 'step')} in {took}.")
        return outcome

    async def _run_until_killed(self, client: Client, gate: GitGate, kill_at: int) -> str:
        """Start a run and SIGKILL its server on receipt of the `kill_at`-th finished step. Returns the run's id."""
        _say(f"\n2. The same again. git is held up after {kill_at} calls; the server is killed at step {kill_at}.")
        gate.close_after(kill_at)
        view = RunView("repo-report")
        display = display_of(view, sys.stdout)

        def on_status(status: StatusChangedNotification) -> None:
            if status.label == _LABEL:
                view.run_id = status.run_id

        def on_events(batch: EventsAppendedNotification) -> None:
            for event in batch.events:
                if view.completed >= kill_at or batch.run_id != view.run_id:
                    return
                display.take(event)
                if isinstance(event, StepEvent) and view.completed >= kill_at:
                    client.kill()
                    view.status = "killed"

        client.on("workflow/statusChanged", on_status)
        client.on("workflow/eventsAppended", on_events)
        display.open()
        try:
            await client.start(WORKFLOW, workspace_folder=self._uri, label=_LABEL, events=True)
        except ServerGone:
            pass
        finally:
            display.close()
        if view.status != "killed":
            raise PromiseBroken("the run was over before its server could be killed")
        _say(f"   Process {client.pid} is dead: SIGKILL, in the middle of {plural(len(view.running), 'step')}.")
        return view.run_id

    async def _resume(self, client: Client, run_id: str) -> RunOutcome:
        """Go on with the run in another server."""
        _say(f"\n3. Another server, process {client.pid}, goes on with {run_id}.")
        view = RunView("repo-report", run_id)
        view.seed(await _all_steps(client, run_id))
        display = display_of(view, sys.stdout)

        def on_events(batch: EventsAppendedNotification) -> None:
            for event in batch.events:
                display.take(event)

        client.on("workflow/eventsAppended", on_events)
        display.open()
        try:
            return await client.resume(run_id, events=True)
        finally:
            display.close()

    def _prove(self, undisturbed: RunOutcome, outcome: RunOutcome, steps: list[StepSummary]) -> None:
        counted = Counted.of(steps)
        total = undisturbed.steps.completed
        reused, ran = len(counted.reused), len(counted.ran)
        _say("\n4. What the journal says:")
        _say(f"   reused: {_named(counted.reused)}")
        _say(f"   ran:    {_named(counted.ran)}")
        _say(f"   {reused} reused + {ran} ran = {reused + ran} of {total} steps")
        if outcome.status != "completed":
            raise PromiseBroken(f"the resumed run {outcome.status}")
        if reused + ran != total or counted.unfinished:
            raise PromiseBroken(f"{reused} + {ran} is not {total}; unfinished: {counted.unfinished}")
        if reused < total // 2:
            raise PromiseBroken(f"{total // 2} steps were finished when the server was killed, {reused} were reused")
        if _report(outcome) != _report(undisturbed):
            raise PromiseBroken("the report differs from the undisturbed run's")
        _say("   The report is the undisturbed run's, letter for letter:\n")

    def _server(self, environ: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Client]:
        store = self._place / "store" / "sidestep.db"
        command = [sys.executable, "-m", "sidestep", "serve", "--stdio", f"--store={store}"]
        return Client.spawn(command, env=environ, cwd=self._folder, stderr=self._log)

    async def _greet(self, client: Client) -> None:
        # Trust for these sessions only; and no server resumes by itself what the next act is about.
        await client.initialize(folders=[self._folder], trust=True, options=InitializationOptions(auto_resume=False))


async def _all_steps(client: Client, run_id: str) -> list[StepSummary]:
    steps: list[StepSummary] = []
    params = StepsParams(run_id=run_id)
    while True:
        page = await client.request("workflow/steps", params, StepsResult)
        steps += page.steps
        if page.next_cursor is None:
            return steps
        params = StepsParams(run_id=run_id, cursor=page.next_cursor)


def _report(outcome: RunOutcome) -> str:
    return (outcome.result.report if outcome.result else None) or ""


def _named(step_ids: list[str]) -> str:
    return f"{len(step_ids)} ({one_line(', '.join(step_ids), 160)})" if step_ids else "none"


def _say(text: str) -> None:
    click.echo(text)


def main() -> int:
    """Show the demo on the repository around the working folder. Returns the exit code."""
    print_whatever_it_is()
    # Asked to end, it cleans up as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="sidestep-demo-", ignore_cleanup_errors=True) as temporary:
        place = Path(os.path.realpath(temporary))
        try:
            repository = find_or_make(Path.cwd(), place)
            if repository.made_because is not None:
                _say(f"For the demo a small temporary repository is made: {repository.made_because}.\n")
            demo = Demo(repository, place)
            try:
                asyncio.run(demo.show())
            finally:
                demo.close()
        except GitMissing as error:
            click.echo(str(error), err=True)
            return Exit.FAILED
        except (PromiseBroken, ClientError, TimeoutError) as error:
            click.echo(f"The demo failed: {error or type(error).__name__}", err=True)
            _show_log(place)
            return Exit.FAILED
        except KeyboardInterrupt:
            click.echo("Stopped; nothing is left behind.", err=True)
            return Exit.INTERRUPTED
        except BrokenPipeError:
            forsake_stdout()
            return Exit.FAILED
    return Exit.COMPLETED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job: no Ctrl-C reaches it, and nobody turns the signal into a cancellation.
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _show_log(place: Path) -> None:
    log = place / "server.log"
    if log.exists() and (text := log.read_text(encoding="utf-8", errors="replace")):
        click.echo("The servers said:\n" + text[-4000:], err=True)


if __name__ == "__main__":
    sys.exit(main())

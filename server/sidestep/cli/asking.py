"""
The questions of a run that a command waits for: put to a person at the terminal, or the end of the command's patience.

At a terminal they are asked one after the other, as their steps are reached. Where nobody can be asked, a run of ours
is interrupted, for it would wait for ever; a run that was moved to the background, or is another process's, waits on
and its questions are told.

Invariant: a question that is answered elsewhere is taken down here.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

import click

from sidestep.cli.questions import BY, answer_commands, lines_of_question, problem_lines, prompt_of, read_answer
from sidestep.cli.terminal_line import drop_what_was_typed, is_a_person_there, read_line
from sidestep.cli.terminal_text import one_line, printable
from sidestep.model.errors import AnswerInvalid, InteractionNotPending, SidestepError
from sidestep.model.events import InteractionChanged, InteractionStatus, StepChanged
from sidestep.model.run import RunStatus, StepStatus

if TYPE_CHECKING:
    from sidestep.cli.display import Display
    from sidestep.cli.invocation import Invocation
    from sidestep.model.ports import Committed
    from sidestep.model.questions import Question
    from sidestep.service.workflows import WorkflowService


class Command(Protocol):
    """What the command that waits knows of its run."""

    @property
    def run_id(self) -> str | None: ...

    @property
    def is_ours(self) -> bool:
        """Whether this process conducts the run."""
        ...

    def interrupt_for_answer(self) -> None:
        """Interrupt the run: nobody here can answer."""
        ...


class RunQuestions:
    """The questions of one command's run and of the runs below it."""

    def __init__(self, service: WorkflowService, invocation: Invocation, display: Display, command: Command) -> None:
        self._service = service
        self._invocation = invocation
        self._display = display
        self._command = command
        # (run, step) that have come as far as their question in this execution; None: all have.
        self._reached: set[tuple[str, str]] | None = set()
        # Questions that need nothing more here.
        self._settled: set[str] = set()
        self._prompt: tuple[str, asyncio.Task[str | None]] | None = None
        self._work: asyncio.Task[None] | None = None
        self._again = False

    def attached(self) -> None:
        """The run goes on in another process: whatever is open is reached."""
        self._reached = None
        self._look()

    def told(self, committed: Committed) -> None:
        """A commit of the run or of one below it."""
        record = committed.record
        reached = False
        for event in committed.events:
            body = event.body
            if isinstance(body, InteractionChanged):
                if body.status is InteractionStatus.ASKED:
                    reached = self._reach(record.run_id, body.step_id)
                else:
                    self._over(body)
            elif isinstance(body, StepChanged) and body.status is StepStatus.STARTED:
                reached = self._reach(record.run_id, body.step_id)
        if record.is_stopped and record.run_id == self._command.run_id and self._prompt is not None:
            self._prompt[1].cancel()
        if reached and record.is_active and record.pending:
            self._look()

    async def close(self) -> None:
        """Ask nothing more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})

    def _reach(self, run_id: str, step_id: str) -> bool:
        if self._reached is not None:
            self._reached.add((run_id, step_id))
        return True

    def _over(self, body: InteractionChanged) -> None:
        self._settled.add(body.interaction_id)
        if self._prompt is not None and self._prompt[0] == body.interaction_id and not self._prompt[1].done():
            self._prompt[1].cancel()
            self._echo("", _how_it_ended(body))

    def _look(self) -> None:
        self._again = True
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._put_what_is_open(), name="questions")

    async def _put_what_is_open(self) -> None:
        with contextlib.suppress(SidestepError):
            while self._again:
                self._again = False
                while (question := await self._next()) is not None:
                    self._settled.add(question.interaction_id)
                    await self._put(question)

    async def _next(self) -> Question | None:
        run_id = self._command.run_id
        if run_id is None:
            return None
        for question in await self._service.store.open_questions(run_id):
            is_reached = self._reached is None or (question.run_id, question.step_id) in self._reached
            if is_reached and question.interaction_id not in self._settled:
                return question
        return None

    async def _put(self, question: Question) -> None:
        root = await self._service.store.read(question.root_run_id)
        if not root.is_active:
            return
        is_released = root.status is RunStatus.BACKGROUNDED
        if is_a_person_there() and not is_released:
            await self._ask(question)
        elif self._command.is_ours and not is_released:
            self._command.interrupt_for_answer()
        else:
            told = " / ".join(lines_of_question(question))
            commands = answer_commands(question, self._invocation, alone=root.pending == 1)
            self._say(f"It waits for an answer: {told}", *(f"Answer it with: {command}" for command in commands))

    async def _ask(self, question: Question) -> None:
        """Ask until there is an answer that fits, from here or elsewhere."""
        self._display.close()
        try:
            drop_what_was_typed()
            self._echo("", *lines_of_question(question))
            while True:
                self._echo(prompt_of(question), nl=False)
                typed = await self._typed(question)
                if typed is None:
                    return
                if not typed.strip():
                    # An Enter too many is no answer; who means an empty one gives it to `runs answer`.
                    continue
                try:
                    answer = read_answer(question, typed)
                    await self._service.answer(question.interaction_id, answer, BY)
                    return
                except AnswerInvalid as invalid:
                    self._echo(*problem_lines(invalid.problems))
                except InteractionNotPending:
                    return
        finally:
            self._display.open()

    async def _typed(self, question: Question) -> str | None:
        """What the person typed; None when nothing is wanted any more, or the person has closed the input."""
        line = asyncio.get_running_loop().create_task(read_line(), name="terminal")
        self._prompt = (question.interaction_id, line)
        try:
            await asyncio.wait({line})
        finally:
            self._prompt = None
            line.cancel()
        if line.cancelled():
            return None
        typed = line.result()
        if typed is None and self._command.is_ours:
            self._echo("")
            self._command.interrupt_for_answer()
        return typed

    def _echo(self, *lines: str, nl: bool = True) -> None:
        # A terminal that is gone stops the asking, not the run.
        with contextlib.suppress(OSError):
            click.echo(printable("\n".join(lines)), err=True, nl=nl)
            sys.stderr.flush()

    def _say(self, *lines: str) -> None:
        with contextlib.suppress(OSError):
            for line in lines:
                self._display.say(one_line(line, 1000))


def _how_it_ended(body: InteractionChanged) -> str:
    """Why a question is taken down that nobody has answered here."""
    if not body.by:
        return "No answer is needed any more."
    return "Answered in another terminal." if body.by == BY else f"Answered by {body.by}."

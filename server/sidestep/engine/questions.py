"""
Questions to people: the executor of `ask` steps, and what other steps ask for permission with (P7).

A question is durable before anybody is asked, and stays open while its run is stopped. Whoever answers it, in this
process or another, writes the answer into the store; here it is only waited for.

Invariant: a step that has ended, or was given up while its run goes on, leaves no open question.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from sidestep.model.abort import Aborted
from sidestep.model.errors import RunNotFound
from sidestep.model.events import InteractionStatus, Logged
from sidestep.model.execution import StepSucceeded
from sidestep.model.questions import Choice, Question, QuestionKind, interaction_id
from sidestep.model.replay_key import canonical_json
from sidestep.model.writes import Ask, Withdraw

if TYPE_CHECKING:
    from asyncio import Future

    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.ports import Clock, JsonSchemas, RunStore
    from sidestep.model.run import RunRecord
    from sidestep.settings import Settings


class Answered(Protocol):
    """Hears of answers, whoever gave them."""

    def expect(self, interaction_id: str) -> Future[None]:
        """
        A future that ends when the question is answered, from now on.

        Look whether it is answered *after* calling this, and cancel the future when it is no longer needed.
        """
        ...


class Questions:
    """Puts the questions of one run, and carries out its `ask` steps."""

    def __init__(
        self,
        *,
        store: RunStore,
        writer: JournalWriter,
        run: RunRecord,
        answered: Answered,
        schemas: JsonSchemas,
        clock: Clock,
        settings: Settings,
        signal: AbortSignal,
    ) -> None:
        """
        Args:
            signal: The run's own: when it fires, the run stops and its questions stay open.
        """
        self._signal = signal
        self._store = store
        self._writer = writer
        self._run = run
        self._answered = answered
        self._schemas = schemas
        self._clock = clock
        self._settings = settings
        # Ids of the questions waited for now.
        self._waiting: set[str] = set()

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        # Any number may wait for a person.
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        if len(step_input["question"]) > self._settings.question_chars_max:
            return f"a question has at most {self._settings.question_chars_max} characters"
        schema = step_input.get("schema")
        return None if schema is None else self._schemas.why_invalid(schema)

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Ask, and wait for the answer however long it takes.

        Raises:
            Aborted: the signal fired. The question stays open when the run was stopped, else it is withdrawn.
        """
        asked = request.input
        schema = asked.get("schema")
        question = self.question(
            request,
            QuestionKind.QUESTION,
            title=asked["question"],
            choices=tuple(Choice(each, each) for each in asked.get("choices", ())),
            schema_json=None if schema is None else canonical_json(schema),
        )
        return StepSucceeded(await self.ask(question, signal))

    def question(
        self,
        request: StepRequest,
        kind: QuestionKind,
        *,
        title: str,
        detail: str | None = None,
        choices: tuple[Choice, ...] = (),
        schema_json: str | None = None,
        what: str = "",
    ) -> Question:
        """A question of this step; `what` tells several of one step apart."""
        return Question(
            interaction_id=interaction_id(request.run_id, request.key, what),
            run_id=request.run_id,
            root_run_id=self._run.root_run_id,
            step_id=request.step_id,
            kind=kind,
            title=title,
            asked_at_ms=self._clock.now_ms(),
            detail=detail,
            choices=choices,
            schema_json=schema_json,
        )

    def note(self, message: str) -> None:
        """Tell people something that nobody has to answer."""
        self._writer.write_lazily(Logged(message=message, origin="sidestep"))

    async def recorded(self, question: Question) -> Any | None:
        """The recorded answer to a question, which may never have been put; None without one. Raises Aborted."""
        stored = await self._writer.ask(lambda: self._store.read_question(question.interaction_id))
        return stored.answer if stored is not None and stored.status is InteractionStatus.ANSWERED else None

    async def ask(self, question: Question, signal: AbortSignal) -> Any:
        """
        Put a question, or take it up again, and wait for its answer.

        Returns:
            The recorded answer, JSON values.

        Raises:
            Aborted: as `execute`.
        """
        answered = self._answered.expect(question.interaction_id)
        self._waiting.add(question.interaction_id)
        try:
            return await self._put(question, answered, signal)
        except asyncio.CancelledError:
            # Its agent broke, or does not want to know any more.
            if not self._signal.is_aborted:
                with contextlib.suppress(Aborted):
                    await self._withdraw(question.interaction_id)
            raise
        finally:
            answered.cancel()
            self._waiting.discard(question.interaction_id)

    async def _put(self, question: Question, answered: Future[None], signal: AbortSignal) -> Any:
        await self._writer.commit(Ask(question.run_id, self._writer.claim_epoch, question))
        stored = await self._read(question)
        if stored.status is InteractionStatus.ANSWERED:
            return stored.answer
        try:
            await signal.race(answered)
        except Aborted:
            if self._signal.is_aborted:
                raise
            await self._withdraw(question.interaction_id)
            stored = await self._read(question)
            if stored.status is not InteractionStatus.ANSWERED:
                raise
            # Answered at the same moment: a person's answer is not dropped.
            return stored.answer
        return (await self._read(question)).answer

    async def withdraw_left(self, step_id: str) -> None:
        """Withdraw what earlier executions of a step asked and this one did not; nothing when the claim is over."""
        if not self._run.pending:
            return
        run_id = self._run.run_id
        with contextlib.suppress(Aborted, RunNotFound):
            for question in await self._writer.ask(lambda: self._store.open_questions(run_id)):
                is_left = question.interaction_id not in self._waiting
                if is_left and (question.run_id, question.step_id) == (run_id, step_id):
                    await self._withdraw(question.interaction_id)

    async def _withdraw(self, interaction_id: str) -> None:
        await self._writer.commit(Withdraw(self._run.run_id, self._writer.claim_epoch, interaction_id))

    async def _read(self, question: Question) -> Question:
        stored = await self._writer.ask(lambda: self._store.read_question(question.interaction_id))
        assert stored is not None, "a question that was put is stored"
        return stored

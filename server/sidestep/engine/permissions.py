"""
What a step may do: the permission policy, and the questions it leads to.

Invariant: nothing that the policy forbids is begun, and nothing waits for a person where nobody can answer: there only
what somebody has permitted before is.
"""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from sidestep.model.agents import PermissionOption, PermissionPolicy
from sidestep.model.questions import Choice, QuestionKind
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.engine.questions import Questions
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import PermissionRequest, PermissionRule
    from sidestep.model.execution import StepRequest
    from sidestep.model.questions import Question

_ALLOW, _DENY = "allow", "deny"
_TITLE_CHARS_MAX = 500


class Permissions:
    """Decides for the steps of one run."""

    def __init__(self, policy: Callable[[str], PermissionRule], questions: Questions, folder: str) -> None:
        """
        Args:
            policy: What is permitted in a folder; asked once an execution, since it reads files.
        """
        self._read_policy = policy
        self._questions = questions
        self._folder = folder
        self._has_told = False

    @cached_property
    def _rule(self) -> PermissionRule:
        return self._read_policy(self._folder)

    @property
    def restrict_commands(self) -> bool:
        """Whether a command needs to be asked about, with `why_not_command`."""
        return self._rule.policy is not PermissionPolicy.ALLOW

    async def why_not_command(self, request: StepRequest, signal: AbortSignal) -> Failure | None:
        """
        Whether a `command` step may begin, under a policy that restricts them; a person is asked once an attempt.

        Raises:
            Aborted.
        """
        line = shlex.join(request.input["argv"])
        if self._rule.policy is PermissionPolicy.ASK:
            choices = (Choice(_ALLOW, "Run it"), Choice(_DENY, "Do not run it"))
            title = f"Run {_shortened(line)}"
            question = self._questions.question(
                request,
                QuestionKind.PERMISSION,
                title=title,
                detail=line,
                choices=choices,
                # A step that is done again is asked for again.
                what=str(request.attempt),
            )
            answer = await self._answer(request, question, signal)
            if answer == _ALLOW:
                return None
            if answer is not None:
                return Failure(FailureCode.STEP, f"running {_shortened(line)} was not permitted")
        why = f"the permission policy denies commands: {_shortened(line)}. {self._rule.why_denied}"
        return Failure(FailureCode.STEP, why)

    def asker(self, request: StepRequest, signal: AbortSignal) -> Callable[[PermissionRequest], Awaitable[str | None]]:
        """What one `agent` step's agent asks with."""
        # The same thing asked again within one step is another question.
        asked: Counter[str] = Counter()

        def permit(wanted: PermissionRequest) -> Awaitable[str | None]:
            what = f"{wanted.title}\n{wanted.detail}"
            asked[what] += 1
            # Once an attempt: what was refused to one can be permitted to the next.
            return self._permit(request, wanted, f"{request.attempt}\n{what}\n{asked[what]}", signal)

        return permit

    async def _permit(
        self, request: StepRequest, wanted: PermissionRequest, what: str, signal: AbortSignal
    ) -> str | None:
        match self._rule.policy:
            case PermissionPolicy.ALLOW:
                return _option(wanted, "allow_once", "allow_always")
            case PermissionPolicy.DENY:
                return self._refuse(wanted)
            case PermissionPolicy.ASK:
                options = wanted.options or (
                    PermissionOption(_ALLOW, "Allow", "allow_once"),
                    PermissionOption(_DENY, "Deny", "reject_once"),
                )
                question = self._questions.question(
                    request,
                    QuestionKind.PERMISSION,
                    title=_shortened(wanted.title),
                    detail=wanted.detail,
                    choices=tuple(Choice(option.option_id, option.title) for option in options),
                    what=what,
                )
                answer = await self._answer(request, question, signal)
                return self._refuse(wanted) if answer is None else answer

    async def _answer(self, request: StepRequest, question: Question, signal: AbortSignal) -> str | None:
        """The id of the choice; None where there is none and nobody can be asked. Raises Aborted."""
        if not self._rule.can_ask:
            return await self._questions.recorded(question)
        async with nullcontext() if request.time is None else request.time.for_person():
            return await self._questions.ask(question, signal)

    def _refuse(self, wanted: PermissionRequest) -> str | None:
        if not self._has_told:
            # The agent learns only that it may not; once is enough for people.
            self._has_told = True
            title = _shortened(wanted.title)
            self._questions.note(f"the permission policy denies what agents ask for: {title}. {self._rule.why_denied}")
        return _option(wanted, "reject_once", "reject_always")


def _option(wanted: PermissionRequest, *kinds: str) -> str | None:
    for kind in kinds:
        for option in wanted.options:
            if option.kind == kind:
                return option.option_id
    return None


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARS_MAX else line[: _TITLE_CHARS_MAX - 3] + "..."

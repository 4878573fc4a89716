"""
What is told when an ACP agent could not do a turn: the words, and which kind of failure it is.

The agent at fault, a login that is missing, a program that died: `infrastructure`, never counted as an attempt (V2).
A turn that ended with less than a report: `step`.
"""

from __future__ import annotations

import json
import signal as signals
from typing import TYPE_CHECKING

from sidestep.model.agents import AgentFailed
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Sequence

_AUTH_REQUIRED = -32000
_STOPPED = {
    "max_tokens": "reached its limit of tokens before it was done",
    "max_turn_requests": "reached its limit of requests to the model before it was done",
    "refusal": "refused to go on",
    "cancelled": "ended its turn as cancelled, and nobody cancelled it",
}


class AcpFailures:
    """
    Failures of one agent.

    Args:
        name: What the agent is called in the configuration.
        program: Its program's file.
        step_id: The step it works for.
        chars_max: Of one message.
    """

    def __init__(self, name: str, program: str, step_id: str, chars_max: int) -> None:
        self._name = name
        self._program = program
        self._step_id = step_id
        self._chars_max = chars_max

    def infrastructure(self, what: str) -> AgentFailed:
        return self._failed(FailureCode.INFRASTRUCTURE, what)

    def limit(self, what: str) -> AgentFailed:
        return self._failed(FailureCode.LIMIT, what)

    def ended(self, doing: str, exit_code: int | None, stderr: str) -> AgentFailed:
        """The agent went away; `exit_code` as `ChildProcess.wait`, None while its process lives."""
        if exit_code is None:
            how = "closed its output"
        elif exit_code < 0:
            known = -exit_code in {member.value for member in signals.Signals}
            how = f"was ended by signal {-exit_code}" + (f" ({signals.Signals(-exit_code).name})" if known else "")
        else:
            how = f"ended with exit code {exit_code}"
        said = stderr.strip()
        return self.infrastructure(f"{how} {doing} ({self._program})" + (f": {said}" if said else ""))

    def answered_error(self, doing: str, code: int, message: str, data: object, logins: Sequence[str]) -> AgentFailed:
        """The agent answered a request with an error."""
        if code == _AUTH_REQUIRED:
            offered = f" (it offers: {', '.join(logins)})" if logins else ""
            return self.infrastructure(
                f"wants a login{offered}; start {self._program} once by hand and sign in: {message}"
            )
        details = "" if data is None else f" ({json.dumps(data, ensure_ascii=False)})"
        return self.infrastructure(f"answered with an error {doing}: {message}{details}")

    def stopped(self, stop_reason: str, refused: str | None, text: str) -> AgentFailed:
        """The turn ended for another reason than being done."""
        what = _STOPPED.get(stop_reason, f"ended its turn with {stop_reason!r}")
        if stop_reason == "cancelled" and refused is not None:
            what = f"gave up when it was not permitted: {refused}"
        said = text.strip()
        return self._failed(FailureCode.STEP, what + (f"; it said: {said}" if said else ""))

    def _failed(self, code: FailureCode, what: str) -> AgentFailed:
        message = f"agent {self._name} {what}"
        if len(message) > self._chars_max:
            # The head says what happened, the end is where programs say why.
            head = self._chars_max // 4
            message = f"{message[:head]} ... {message[-(self._chars_max - head - 5) :]}"
        return AgentFailed(Failure(code, message, self._step_id))

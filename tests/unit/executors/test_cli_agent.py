"""Agents that are programs run once a turn: what they are given, and what is made of what they print and write."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.cli_agent import CliAgent
from sidestep.executors.process_group import group_alive
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason, AbortSignal
from sidestep.model.agent_settings import AgentSettings
from sidestep.model.agents import AgentFailed, AgentReply, AgentTask
from sidestep.model.run import Failure, FailureCode
from sidestep.model.usage import Usage
from sidestep.settings import Settings

from .conftest import RecordingLedger

if TYPE_CHECKING:
    from .conftest import Lifeline

PROGRAMS = Path(__file__).parents[2] / "support" / "cli_agents"
USER = AbortReason(AbortKind.USER, by="a test")
REPORTLESS = [("nothing", "wrote no report"), ("link", "wrote no report"), ("pipe", "something else than a file")]
JSON = {"output_format": "json", "report_field": "result", "error_field": "is_error"}


class CliAgents:
    """CLI agents in one folder: `turn` and `fail` are what most tests need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = RecordingLedger()
        self.emitted: dict[str, bytearray] = {}
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}

    def agent(self, program: str, *args: str, ways: dict[str, Any] | None = None, **settings: Any) -> CliAgent:
        """An agent that is one of the programs of `tests/support/cli_agents`, or a file."""
        given = (program, *args) if "/" in program else (sys.executable, str(PROGRAMS / f"{program}.py"), *args)
        return self.made(AgentCommand(given[0], given[1:]), ways, **settings)

    def made(self, launch: AgentCommand, ways: dict[str, Any] | None = None, **settings: Any) -> CliAgent:
        return CliAgent(
            "tested",
            launch,
            AgentSettings(kind="cli", command=launch.command, args=launch.args, **(ways or {})),
            Settings(**{"terminate_grace_s": 0.1, **settings}),
            self.ledger,
            self.environ,
            asyncio.sleep,
            None,
        )

    def task(self, **given: Any) -> AgentTask:
        fields: dict[str, Any] = {
            "run_id": "run_a",
            "step_id": "s",
            "key": "k",
            "task_id": "task_a",
            "attempt": 1,
            "redelivery": False,
            "prompt": "p",
            "schema": None,
            "cwd": str(self.folder),
            "title": None,
            "timeout_s": None,
            "session": None,
            "require_claim": self.require_claim,
            "emit": self.emit,
            "told": lambda _: None,
            "permit": None,
            "keep_session": None,
            **given,
        }
        return AgentTask(**fields)

    def emit(self, stream: str, data: bytes) -> None:
        self.emitted.setdefault(stream, bytearray()).extend(data)

    async def require_claim(self) -> None:
        """The run is ours, unless a test says otherwise."""

    async def turn(self, agent: CliAgent, prompt: str, signal: AbortSignal | None = None, **given: Any) -> AgentReply:
        """One session with one turn; afterwards nothing of it is left."""
        signal = signal or AbortController().signal
        before = set(os.listdir(self.folder))
        session = await agent.open(self.task(**given), signal)
        assert not session.can_go_on
        try:
            return await session.prompt(prompt, signal)
        finally:
            await session.close()
            assert self.ledger.standing == {}
            assert not [name for name in set(os.listdir(self.folder)) - before if name.startswith("sidestep-agent-")]

    async def fail(self, agent: CliAgent, prompt: str = "x", **given: Any) -> Failure:
        with pytest.raises(AgentFailed) as failed:
            await self.turn(agent, prompt, **given)
        assert failed.value.failure.step_id == "s"
        assert "'tested'" in failed.value.failure.message
        return failed.value.failure


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliAgents:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return CliAgents(tmp_path)


async def test_the_prompt_comes_on_standard_input_and_the_report_is_standard_output(agents: CliAgents) -> None:
    reply = await agents.turn(agents.agent("answering"), "Fix it: ä\n{cwd}")
    assert reply == AgentReply(text=f"Done in {agents.folder}: Fix it: ä\n{{cwd}}")


async def test_what_it_prints_is_shown_while_it_works(agents: CliAgents) -> None:
    await agents.turn(agents.agent("answering"), "a")
    assert agents.emitted["stderr"] == b"thinking\n"
    assert agents.emitted["stdout"].startswith(b"Done in")


@pytest.mark.parametrize("args", [("{prompt}",), ("--task={prompt}",), ()])
async def test_the_prompt_may_be_an_argument(agents: CliAgents, args: tuple[str, ...]) -> None:
    """In place of {prompt}, else as the last argument; what a prompt holds is never filled in itself."""
    reply = await agents.turn(agents.agent("answering", *args, ways={"prompt_via": "arg"}), "in {cwd} {prompt}")
    said = args[0].replace("{prompt}", "") if args else ""
    assert reply.text == f"Done in {agents.folder}: {said}in {{cwd}} {{prompt}}"


async def test_the_folder_may_be_an_argument(agents: CliAgents) -> None:
    reply = await agents.turn(agents.agent("answering", "--in", "{cwd}", "{prompt}", '{"a": {}}'), "p")
    assert reply.text == f'Done in {agents.folder}: --in {agents.folder} p {{"a": {{}}}}'


async def test_a_prompt_too_long_for_an_argument_is_a_limit_that_says_what_to_do(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("answering", "{prompt}"), "x" * 3_000_000)
    assert failure.code is FailureCode.LIMIT
    assert 'prompt_via = "stdin"' in failure.message
    assert "3000000 bytes" in failure.message


async def test_a_prompt_no_argument_can_hold_is_refused_in_its_own_words(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("answering", "{prompt}"), "a\0b")
    assert failure.code is FailureCode.VALIDATION
    assert "NUL" in failure.message


async def test_a_long_prompt_goes_through_standard_input(agents: CliAgents) -> None:
    reply = await agents.turn(agents.agent("answering"), "x" * 3_000_000)
    assert reply.text is not None
    assert len(reply.text) > 3_000_000


async def test_environment_and_folder_are_as_configured(agents: CliAgents) -> None:
    (agents.folder / "below").mkdir()
    launch = AgentCommand("/bin/sh", ("-c", "cat; pwd; echo $MINE"), {"MINE": "ü=1"}, "below")
    reply = await agents.turn(agents.made(launch), "")
    assert reply.text == f"{agents.folder / 'below'}\nü=1"


async def test_json_is_read_for_the_report_and_the_usage(agents: CliAgents) -> None:
    usage = (
        ("cost_usd", ("total_cost_usd",)),
        ("input_tokens", ("usage.input_tokens", "usage.cached", "usage.none")),
        ("output_tokens", ("models.*.tokens",)),
    )
    reply = await agents.turn(agents.agent("json_printing", ways={**JSON, "usage": usage}), "a")
    assert reply == AgentReply(text="Done: a", usage=Usage(43, 3, 12_500))


async def test_an_agent_that_says_it_failed_has_failed_whatever_its_exit_code(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("json_printing", "--fail", ways=JSON))
    assert failure.code is FailureCode.STEP
    assert "the credit is used up" in failure.message


async def test_output_that_was_to_be_json_and_is_not_is_shown(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("answering", ways=JSON))
    assert failure.code is FailureCode.STEP
    assert "printed no JSON object, but 'Done in" in failure.message
    failure = await agents.fail(agents.agent("json_printing", ways={**JSON, "report_field": "answer"}))
    assert "without 'answer'" in failure.message


async def test_the_report_may_be_a_file_in_a_private_folder(agents: CliAgents) -> None:
    ways = {"report_file": "last.md"}
    reply = await agents.turn(agents.agent("report_writing", "{report_file}", ways=ways), "a")
    assert reply.text is not None
    assert reply.text.startswith("700 [] ")
    assert reply.text.endswith("/last.md: a")


@pytest.mark.parametrize(("what", "says"), REPORTLESS)
async def test_a_report_that_is_no_file_fails_and_holds_nobody(agents: CliAgents, what: str, says: str) -> None:
    failure = await agents.fail(agents.agent("report_writing", "{report_file}"), what)
    assert failure.code is FailureCode.STEP
    assert says in failure.message


async def test_an_exit_code_fails_the_step_with_the_end_of_what_it_said(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("crashing"))
    assert failure.code is FailureCode.STEP
    assert "ended with exit code 3" in failure.message
    assert failure.message.endswith("Invalid API key: log in first")
    assert len(failure.message) <= Settings().failure_message_chars_max


async def test_a_signal_and_a_silent_end_are_told(agents: CliAgents) -> None:
    failure = await agents.fail(agents.agent("/bin/sh", "-c", "kill -9 $$"))
    assert failure.code is FailureCode.STEP
    assert "was ended by signal 9" in failure.message
    failure = await agents.fail(agents.agent("/bin/sh", "-c", "echo no key >&2"))
    assert failure.code is FailureCode.STEP
    assert "without a report: no key" in failure.message


async def test_a_missing_program_names_the_path_searched_before_anything_is_started(agents: CliAgents) -> None:
    agents.environ["PATH"] = "/nowhere:/else"
    failure = await agents.fail(agents.made(AgentCommand("no-such-agent")))
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "'no-such-agent'" in failure.message
    assert "/nowhere:/else" in failure.message
    assert agents.ledger.ever == []


async def test_a_program_whose_interpreter_is_missing_did_not_begin(agents: CliAgents) -> None:
    """As an npm program without node: `env` ends with 127."""
    program = agents.folder / "agent"
    program.write_text("#!/usr/bin/env no-such-interpreter\n")
    program.chmod(0o755)
    failure = await agents.fail(agents.agent(str(program)))
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "no-such-interpreter" in failure.message
    assert agents.environ["PATH"] in failure.message


async def test_a_ledger_that_cannot_write_means_the_agent_never_runs(agents: CliAgents) -> None:
    agents.ledger.refuses = True
    failure = await agents.fail(agents.agent("/bin/sh", "-c", "touch ran"))
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert not (agents.folder / "ran").exists()


async def test_too_much_output_is_a_limit(agents: CliAgents) -> None:
    """To standard output, to the report's file; what is printed beside a file does not count."""
    flood = agents.agent("flooding", "2001", agent_answer_bytes_max=2000)
    assert (await agents.fail(flood)).code is FailureCode.LIMIT
    flood = agents.agent("flooding", "2001", "{report_file}", agent_answer_bytes_max=2000)
    assert (await agents.fail(flood)).code is FailureCode.LIMIT
    reply = await agents.turn(agents.agent("flooding", "2000", agent_answer_bytes_max=2000), "")
    assert reply.text == "x" * 2000
    both = agents.agent("/bin/sh", "-c", 'seq 20000; echo ok >"$0"', "{report_file}", agent_answer_bytes_max=2000)
    assert (await agents.turn(both, "")).text == "ok"


async def test_every_turn_is_a_run_of_its_own(agents: CliAgents) -> None:
    signal = AbortController().signal
    session = await agents.agent("answering").open(agents.task(), signal)
    assert [(await session.prompt(text, signal)).text for text in "ab"] == [
        f"Done in {agents.folder}: {text}" for text in "ab"
    ]
    await session.close()
    await session.close()
    assert len(agents.ledger.ever) == 2


async def test_i6_an_abort_leaves_nothing_of_an_agent_that_ignores_it(agents: CliAgents, life: Lifeline) -> None:
    """W17: the agent and its grandchild ignore TERM."""
    controller = AbortController()
    turn = asyncio.ensure_future(agents.turn(agents.agent("stubborn", "{report_file}"), "x", controller.signal))
    assert await life.line() == "up"
    assert len(agents.ledger.standing) == 1
    controller.abort(USER)
    with pytest.raises(Aborted) as aborted:
        await turn
    assert aborted.value.reason == USER
    assert not life.is_held, "somebody outlived the abort"
    assert not group_alive(agents.ledger.ever[0])


async def test_a_cancelled_turn_leaves_nothing(agents: CliAgents, life: Lifeline) -> None:
    turn = asyncio.ensure_future(agents.turn(agents.agent("stubborn", "{report_file}"), "x"))
    assert await life.line() == "up"
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert not life.is_held


async def test_an_abort_before_the_start_starts_nothing(agents: CliAgents) -> None:
    controller = AbortController()
    controller.abort(USER)
    with pytest.raises(Aborted):
        await agents.turn(agents.agent("answering"), "x", controller.signal)
    assert agents.ledger.ever == []


async def test_f3_f4_an_agent_is_written_down_before_the_claim_is_looked_at_and_begins_after(agents: CliAgents) -> None:
    seen: list[tuple[int, bool]] = []

    async def lost() -> None:
        seen.append((len(agents.ledger.standing), (agents.folder / "begun").exists()))
        raise Aborted(AbortReason(AbortKind.LEASE_LOST))

    with pytest.raises(Aborted):
        await agents.turn(agents.agent("/bin/sh", "-c", "echo > begun"), "x", require_claim=lost)
    assert seen == [(1, False)]
    assert not (agents.folder / "begun").exists()

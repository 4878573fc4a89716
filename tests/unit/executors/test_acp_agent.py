"""Agents of kind `acp`: what a turn comes to, with agents that are real processes on the SDK's agent side."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.process_group import group_alive
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.agents import AgentFailed
from sidestep.model.run import FailureCode
from sidestep.model.usage import Usage
from tests.support.agents.harness import AgentBench, agent_command, open_descriptors

from .conftest import Lifeline, RecordingLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(tmp_path: Path) -> AgentBench:
    folder = tmp_path / "work"
    folder.mkdir()
    return AgentBench(folder, RecordingLedger())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The SDK logs with tracebacks what it is surprised by; nothing of this surprises it."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


async def test_a_turn_gives_the_text_of_its_messages(bench: AgentBench) -> None:
    reply = await bench.reply("well_behaved", "--answer", "All done: ü.")
    assert (reply.text, reply.has_data, reply.usage) == ("All done: ü.", False, None)
    assert bench.emitted["agent"].decode() == "All done: ü."
    assert [call["prompt"] for call in bench.calls()] == ["hello"]
    assert bench.kept_sessions == [bench.calls()[0]["session"]]
    assert "stderr" not in bench.emitted


async def test_an_agent_is_prompted_again_in_the_same_session(bench: AgentBench) -> None:
    async with bench.opened("well_behaved") as session:
        for prompt in ("first", "second"):
            assert session.can_go_on
            reply = await session.prompt(prompt, AbortController().signal)
            assert reply.text == f"You said: {prompt}"
    assert not session.can_go_on
    assert len({call["session"] for call in bench.calls()}) == 1


async def test_nothing_is_left_of_an_agent_that_was_closed(bench: AgentBench) -> None:
    """No process, task or descriptor; the ledger knew the group and knows it no more."""
    await bench.reply("well_behaved")
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    session = await bench.open(agent_command("well_behaved"))
    (group_id,) = bench.ledger.standing
    assert group_alive(group_id)
    await session.prompt("hello", AbortController().signal)
    await session.close()
    await session.close()
    assert not group_alive(group_id)
    assert bench.ledger.standing == {}
    assert (asyncio.all_tasks(), open_descriptors()) == (tasks, descriptors)


async def test_updates_of_published_agents_are_no_trouble(bench: AgentBench) -> None:
    """Empty chunks, updates without title, status or tool call, kinds of tomorrow, other sessions, withdrawals."""
    reply = await bench.reply("well_behaved", "--odd", "--answer", "Second.")
    assert reply.text == "First.\n\nSecond."
    assert bench.told == ["Read a.py", "Read a.py: failed", "plan: 1 of 2 done, now two"]


async def test_usage_is_that_of_the_turn(bench: AgentBench) -> None:
    """Agents tell the cost of the whole session so far."""
    async with bench.opened("well_behaved", "--usage", "0.25") as session:
        replies = [await session.prompt("hello", AbortController().signal) for _ in range(2)]
    assert [reply.usage for reply in replies] == [Usage(20, 10, 250_000)] * 2


async def test_a_cost_that_follows_the_answer_counts(bench: AgentBench) -> None:
    reply = await bench.reply("well_behaved", "--usage", "0.25", "--late-usage")
    assert reply.usage == Usage(20, 10, 250_000)


@pytest.mark.parametrize("reason", ["max_tokens", "max_turn_requests", "refusal", "cancelled"])
async def test_a_turn_that_ended_early_fails(bench: AgentBench, reason: str) -> None:
    failure = await bench.failure("well_behaved", "--stop-reason", reason, "--answer", "so far")
    assert failure.code is FailureCode.STEP
    assert failure.message.endswith("it said: so far")
    assert {"max_tokens": "tokens", "max_turn_requests": "requests", "refusal": "refused", "cancelled": "nobody"}[
        reason
    ] in failure.message


async def test_an_error_of_the_model_is_told(bench: AgentBench) -> None:
    failure = await bench.failure("well_behaved", "--error", "overloaded")
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "overloaded" in failure.message


async def test_another_version_of_the_protocol_is_said(bench: AgentBench) -> None:
    failure = await bench.failure("well_behaved", "--version", "7")
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "version 7" in failure.message
    assert bench.ledger.standing == {}


async def test_a_login_that_is_missing_is_said(bench: AgentBench) -> None:
    failure = await bench.failure("well_behaved", "--login")
    assert "wants a login (it offers: Sign in on the web)" in failure.message


async def test_a_banner_before_the_first_message_is_shown_and_no_error(bench: AgentBench) -> None:
    reply = await bench.reply("well_behaved", "--banner", "> agent@1.0 start")
    assert reply.text == "You said: hello"
    assert bench.emitted["stdout"] == b"> agent@1.0 start\n"


async def test_an_answer_has_a_limit(bench: AgentBench) -> None:
    bench.change(agent_answer_bytes_max=1000)
    assert (await bench.reply("well_behaved", "--long", "1000")).text == "x" * 1000
    failure = await bench.failure("well_behaved", "--long", "1001")
    assert failure.code is FailureCode.LIMIT
    assert bench.ledger.standing == {}


async def test_terminals_are_not_offered(bench: AgentBench) -> None:
    reply = await bench.reply("well_behaved", "--terminal")
    assert reply.text == "refused: there is no terminal/create here"


async def test_files_are_read_and_written_below_the_folder_only(bench: AgentBench) -> None:
    (bench.folder / "a.txt").write_text("one\ntwo\n")
    assert (await bench.reply("well_behaved", "--read", str(bench.folder / "a.txt"))).text == "one\ntwo\n"
    (bench.folder.parent / "secret").write_text("secret")
    outside = await bench.reply("well_behaved", "--read", str(bench.folder / ".." / "secret"))
    assert outside.text is not None
    assert outside.text.startswith("refused: ")
    assert "secret" not in outside.text.replace("/secret", "")
    new = bench.folder / "below" / "new.txt"
    bench.permission = "once"
    assert (await bench.reply("well_behaved", "--write", str(new), "--answer", "text")).text == "written"
    assert new.read_text() == "text"
    assert [asked.title for asked in bench.asked] == [f"write {new}"]


async def test_a_file_that_may_not_be_written_is_not(bench: AgentBench) -> None:
    """The policy on permissions is that for all an agent asks for; outside its folder nobody is even asked."""
    new, outside = bench.folder / "new.txt", bench.folder.parent / "new.txt"
    bench.permission = "no"
    assert (await bench.reply("well_behaved", "--write", str(new))).text == f"refused: writing {new} is not permitted"
    assert not new.exists()
    bench.asked.clear()
    bench.permission = "once"
    reply = await bench.reply("well_behaved", "--write", str(outside))
    assert "lies outside" in (reply.text or "")
    assert (outside.exists(), bench.asked) == (False, [])


async def test_a_turn_that_failed_was_paid_for_all_the_same(bench: AgentBench) -> None:
    async with bench.opened("well_behaved", "--usage", "0.25", "--stop-reason", "max_tokens") as session:
        with pytest.raises(AgentFailed) as failed:
            await session.prompt("hello", AbortController().signal)
    assert failed.value.usage == Usage(20, 10, 250_000)


async def test_a_session_is_loaded_where_the_agent_has_it(bench: AgentBench, tmp_path: Path) -> None:
    """What the agent repeats of it is no part of the answer."""
    sessions = str(tmp_path / "sessions")
    await bench.reply("well_behaved", "--sessions", sessions)
    (bench.session,) = bench.kept_sessions
    bench.emitted.clear()
    reply = await bench.reply("well_behaved", "--sessions", sessions)
    assert reply.text == bench.emitted["agent"].decode() == "You said: hello"
    assert [call["session"] for call in bench.calls()] == [bench.session] * 2
    assert bench.kept_sessions == [bench.session]


async def test_a_session_that_cannot_be_loaded_is_a_new_one(bench: AgentBench, tmp_path: Path) -> None:
    (tmp_path / "sessions").touch()
    bench.session = "of another machine"
    for options in (["--sessions", str(tmp_path / "sessions")], []):
        assert (await bench.reply("well_behaved", *options)).text == "You said: hello"
    assert bench.kept_sessions == [call["session"] for call in bench.calls()]
    assert bench.session not in bench.kept_sessions


async def test_a_program_that_is_not_there_is_told_with_the_path(bench: AgentBench) -> None:
    with pytest.raises(AgentFailed) as failed:
        await bench.open(AgentCommand("no-such-agent", env={"PATH": "/nowhere:/else"}))
    assert failed.value.failure.code is FailureCode.INFRASTRUCTURE
    assert "no-such-agent" in failed.value.failure.message
    assert "/nowhere:/else" in failed.value.failure.message


async def test_an_agent_that_ends_at_once_is_told_with_its_last_words(bench: AgentBench) -> None:
    failure = await bench.failure("crashing", "--at", "start")
    assert failure.step_id == "s"
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "ended with exit code 3 at initialize" in failure.message
    assert failure.message.endswith("the agent's last words")
    assert bench.emitted["stderr"] == b"the agent's last words\n"
    assert bench.ledger.standing == {}


async def test_a_program_that_is_no_agent_is_told(bench: AgentBench) -> None:
    with pytest.raises(AgentFailed, match="ended with exit code 0 at initialize"):
        await bench.open(AgentCommand("true"))
    # It repeats what it is told: a request of a method that nobody has, and its refusal.
    with pytest.raises(AgentFailed, match="answered with an error at initialize: there is no initialize here"):
        await bench.open(AgentCommand("cat"))
    with pytest.raises(AgentFailed, match="ended with exit code 0 at initialize"):
        await bench.open(AgentCommand("echo", ("usage: agent [options]",)))
    assert bench.emitted["stdout"] == b"usage: agent [options]\n"


async def test_an_agent_that_is_silent_at_its_start_is_not_waited_for_for_ever(bench: AgentBench) -> None:
    bench.change(agent_start_s=0.5)
    failure = await bench.failure("silent")
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "did not answer initialize within 0.5 s" in failure.message
    assert bench.ledger.standing == {}


async def test_an_agent_that_gives_no_session_is_not_waited_for_for_ever(bench: AgentBench) -> None:
    bench.change(agent_start_s=0.5)
    answer = '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1}}'
    with pytest.raises(AgentFailed, match=r"did not answer session/new within 0\.5 s"):
        await bench.open(AgentCommand("sh", ("-c", f"read _; echo '{answer}'; exec sleep 1000")))
    assert bench.ledger.standing == {}


@pytest.mark.parametrize("kind", ["text", "deep", "result", "error"])
async def test_garbage_in_a_turn_is_a_failure_and_no_hang(bench: AgentBench, kind: str) -> None:
    failure = await bench.failure("garbage", "--kind", kind)
    assert failure.code is FailureCode.INFRASTRUCTURE
    said = {"result": "does not know", "error": "banana"}.get(kind, "is no message")
    assert said in failure.message
    assert bench.ledger.standing == {}


async def test_garbage_at_the_start_is_a_failure_and_no_hang(bench: AgentBench) -> None:
    failure = await bench.failure("garbage", "--kind", "half", "--at", "initialize")
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert bench.ledger.standing == {}


async def test_f3_f4_an_agent_is_written_down_before_the_claim_is_looked_at_and_begins_after(
    bench: AgentBench, life: Lifeline
) -> None:
    seen: list[int] = []

    async def lost() -> None:
        seen.append(len(bench.ledger.standing))
        # What must not come has nothing to wait for: this is long for a shell to begin.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await life.line()
        raise Aborted(AbortReason(AbortKind.LEASE_LOST))

    bench.require_claim = lost
    with pytest.raises(Aborted):
        await bench.open(AgentCommand("sh", ("-c", "echo begun > ../life; exec sleep 1000")))
    assert seen == [1]
    assert not life.is_held
    assert bench.ledger.standing == {}


async def test_an_agent_that_cannot_be_written_down_does_not_begin(bench: AgentBench) -> None:
    bench.ledger.refuses = True
    with pytest.raises(AgentFailed, match="could not be written down"):
        await bench.open(AgentCommand("sh", ("-c", "echo > begun")))
    assert not (bench.folder / "begun").exists()


def test_the_sdk_is_not_loaded_before_an_agent_is_opened() -> None:
    script = "import sidestep.executors.acp_agent, sys; sys.exit('acp' in sys.modules or 'pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)})

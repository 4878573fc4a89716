"""P5, clause by clause, and W23's part of it: what a command gets, gives and may not do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.executors import process_group
from sidestep.model.run import FailureCode

from .conftest import Commands

if TYPE_CHECKING:
    from pathlib import Path


def shell(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


async def test_p5_exit_code_both_streams_and_totals(commands: Commands) -> None:
    output = await commands.run(shell("printf out; printf err-é >&2; exit 3"), check=False)
    assert output.pop("duration_ms") >= 0
    assert output == {"exit_code": 3, "stdout": "out", "stderr": "err-é", "stdout_bytes": 3, "stderr_bytes": 6}


async def test_what_a_command_prints_is_emitted_while_it_runs(commands: Commands) -> None:
    await commands.run(shell("printf out; printf err >&2; printf more"))
    assert commands.emitted == {"stdout": b"outmore", "stderr": b"err"}


async def test_p5_there_is_no_shell_between_the_list_and_the_program(commands: Commands) -> None:
    arguments = ["$HOME", "`id`", "a b", "*", ";", "", "-n", "'\"", "\n", "é\t"]
    program = "import sys,json; print(json.dumps(sys.argv[1:]))"
    output = await commands.run([sys.executable, "-c", program, *arguments])
    assert json.loads(output["stdout"]) == arguments


async def test_p5_check_fails_the_step_with_exit_code_and_the_end_of_stderr(commands: Commands) -> None:
    failure = await commands.fail(shell("seq 5000 >&2; echo the reason >&2; exit 7"))
    assert failure.code is FailureCode.STEP
    assert failure.message.startswith("sh ended with exit code 7: ")
    assert failure.message.endswith("the reason")
    assert len(failure.message) <= commands.settings.failure_message_chars_max


async def test_p5_a_program_that_says_why_on_stdout_is_quoted_too(commands: Commands) -> None:
    failure = await commands.fail(shell("echo 1 failed; exit 1"))
    assert failure.message == "sh ended with exit code 1: 1 failed"


async def test_a_program_that_a_signal_ends_has_a_negative_exit_code(commands: Commands) -> None:
    output = await commands.run(shell("kill -USR1 $$"), check=False)
    assert output["exit_code"] == -10
    failure = await commands.fail(shell("kill -USR1 $$"))
    assert failure.message == "sh was ended by signal 10 (SIGUSR1)"


async def test_p5_streams_keep_their_tail_and_count_everything(tmp_path: Path) -> None:
    commands = Commands(tmp_path, command_stream_bytes_max=1000)
    output = await commands.run(shell("seq 10000 | tee /dev/stderr; echo end"), allow_truncated=True)
    assert output["stdout"].endswith("\n9999\n10000\nend\n")
    assert len(output["stdout"]) == 1000
    assert len(output["stderr"]) == 1000
    assert (output["stdout_bytes"], output["stderr_bytes"]) == (48898, 48894)


async def test_p5_a_truncated_stdout_fails_the_step_unless_allowed_a_truncated_stderr_never(tmp_path: Path) -> None:
    commands = Commands(tmp_path, command_stream_bytes_max=1000)
    failure = await commands.fail(shell("seq 1000"))
    assert failure.code is FailureCode.LIMIT
    assert "3893 bytes" in failure.message
    assert "allow_truncated=True" in failure.message
    assert (await commands.run(shell("seq 1000 >&2")))["stderr_bytes"] == 3893
    assert (await commands.fail(shell("seq 1000; exit 4"))).code is FailureCode.STEP


async def test_p5_text_is_utf8_with_replacement(commands: Commands) -> None:
    output = await commands.run(shell(r"printf 'a\377b\303\251\000c'"))
    assert output["stdout"] == "a\ufffdbé\0c"
    assert output["stdout_bytes"] == 7


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
async def test_p5_stdin_arrives_whole_and_ends(commands: Commands, size: int) -> None:
    text = "é\n\0x" * (size // 5 + 1) if size else ""
    output = await commands.run(["sha256sum"], stdin=text)
    assert output["stdout"].split()[0] == hashlib.sha256(text.encode()).hexdigest()


async def test_stdin_is_a_pipe_that_can_be_opened_again_and_the_first_line_is_whole(commands: Commands) -> None:
    """Tools are given /dev/stdin as a file name; and the gate's own line is not seen by the program."""
    assert (await commands.run(["cat", "/dev/stdin"], stdin="\n\nfirst\n"))["stdout"] == "\n\nfirst\n"


async def test_without_stdin_the_program_reads_the_end_at_once(commands: Commands) -> None:
    output = await commands.run(shell("cat; readlink /proc/self/fd/0"))
    assert output["stdout"] == "/dev/null\n"


async def test_a_program_that_does_not_read_its_input_succeeds(commands: Commands) -> None:
    output = await commands.run(["true"], stdin="x" * 3_000_000)
    assert output["exit_code"] == 0


async def test_a_missing_program_is_infrastructure_and_says_what_to_do(commands: Commands) -> None:
    failure = await commands.fail(["no-such-program-here", "x"])
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "'no-such-program-here' was not found on PATH; install it" in failure.message
    assert commands.ledger.ever == []


async def test_p5_cwd_is_below_the_workspace_and_the_default_is_the_workspace(commands: Commands) -> None:
    (commands.folder / "a b").mkdir()
    assert (await commands.run(["pwd"]))["stdout"].strip() == str(commands.folder.resolve())
    assert (await commands.run(["pwd"], cwd="a b"))["stdout"].strip() == str(commands.folder.resolve() / "a b")
    commands.environ["PWD"] = "/somewhere/stale"
    output = await commands.run(["sh", "-c", "echo $PWD"], cwd="a b")
    assert output["stdout"].strip() == str(commands.folder.resolve() / "a b")


async def test_p5_cwd_cannot_leave_the_workspace_also_not_through_a_symlink(commands: Commands, tmp_path: Path) -> None:
    commands.folder = tmp_path / "workspace"
    outside = tmp_path / "workspace-of-another"
    for folder in (commands.folder, outside, commands.folder / "in"):
        folder.mkdir()
    (commands.folder / "link").symlink_to(outside)
    (commands.folder / "file").touch()
    for cwd in ("..", "/", str(outside), "link", "in/../../workspace-of-another"):
        failure = await commands.fail(["pwd"], cwd=cwd)
        assert (failure.code, "outside the workspace" in failure.message) == (FailureCode.VALIDATION, True), cwd
    for cwd, says in (("nowhere", "does not exist"), ("file", "is not a folder")):
        failure = await commands.fail(["pwd"], cwd=cwd)
        assert (failure.code, says in failure.message) == (FailureCode.VALIDATION, True)
    assert (await commands.run(["pwd"], cwd="in/.."))["exit_code"] == 0
    commands.folder = tmp_path / "gone"
    assert (await commands.fail(["pwd"])).code is FailureCode.INFRASTRUCTURE


async def test_p5_env_adds_to_the_inherited_one_minus_what_is_denied(tmp_path: Path) -> None:
    commands = Commands(tmp_path, env_deny=("SECRET", "OTHER"))
    commands.environ.update(SECRET="s", OTHER="o", KEPT="k")
    output = await commands.run(["env"], env={"ADDED": "a=b c", "OTHER": "given", "HOME": "/h"})
    seen = dict(line.split("=", 1) for line in output["stdout"].splitlines())
    seen.pop("PWD", None)  # The shell at the gate sets it to the command's folder.
    assert seen == {"PATH": commands.environ["PATH"], "KEPT": "k", "ADDED": "a=b c", "OTHER": "given", "HOME": "/h"}


async def test_variables_whose_names_no_shell_could_have_reach_the_program(commands: Commands) -> None:
    commands.environ["INPUT_some-name"] = "x y"
    output = await commands.run(["printenv", "INPUT_some-name", "a.b"], env={"a.b": "z"})
    assert output["stdout"] == "x y\nz\n"


async def test_arguments_longer_than_the_system_allows_are_a_clear_limit(commands: Commands) -> None:
    failure = await commands.fail(["true", "x" * 3_000_000])
    assert failure.code is FailureCode.LIMIT
    assert "use stdin" in failure.message


async def test_a_wrong_shape_fails_with_the_same_words_as_check(commands: Commands) -> None:
    failure = await commands.fail(["a\0b"])
    assert failure.code is FailureCode.VALIDATION
    assert failure.message == commands.executor.check({"argv": ["a\0b"]}, str(commands.folder))
    assert commands.executor.check({"argv": ["a"]}, "/nowhere") is None


async def test_w23_a_command_has_no_descriptor_of_ours(commands: Commands) -> None:
    """What a child writes to the descriptors it has reaches the step, never our stdout; it has no other descriptor."""
    ours = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(ours, True)
    try:
        listing = "for fd in /proc/self/fd/*; do echo $(basename $fd) $(readlink $fd); done; echo loud >&1"
        for options in ({}, {"stdin": "text"}):
            output = await commands.run(["bash", "-c", f"{listing}; cat"], **options)
            descriptors = dict(line.split(" ", 1) for line in output["stdout"].splitlines() if " " in line)
            # 255 is bash's own script; the listing itself may open one more, gone by the time it is read.
            foreign = {fd: target for fd, target in descriptors.items() if fd not in {"0", "1", "2"} and target}
            assert not {fd for fd, target in foreign.items() if "/proc/" not in target and fd != "255"}, foreign
            assert descriptors["1"] != os.readlink("/proc/self/fd/1")
            assert descriptors["1"].startswith("pipe:")
            assert "loud" in output["stdout"]
    finally:
        os.close(ours)


async def test_the_group_stands_in_the_ledger_while_the_command_runs_and_not_after(commands: Commands, life) -> None:
    """F4: recorded before any user code, with the start time of the leader, struck out when it is gone."""
    seen = []
    original = commands.ledger.record

    def record(run_id: str, group_id: int, started_at: float) -> None:
        # The leader waits at the gate: it has not touched the lifeline yet.
        seen.append((run_id, group_id, life.is_held))
        original(run_id, group_id, started_at)

    commands.ledger.record = record
    output = await commands.run(shell("exec 9>life; echo $$; cut -d' ' -f5,6 /proc/$$/stat"))
    pid, groups = output["stdout"].split("\n", 1)
    assert groups.split() == [pid, pid]
    assert seen == [("run_a", int(pid), False)]
    assert commands.ledger.standing == {}
    assert commands.ledger.ever == [int(pid)]


async def test_a_ledger_that_cannot_write_means_the_command_never_runs(commands: Commands) -> None:
    commands.ledger.refuses = True
    failure = await commands.fail(shell("touch ran"))
    assert failure.code is FailureCode.INFRASTRUCTURE
    assert "No space left" in failure.message
    assert not (commands.folder / "ran").exists()


@pytest.mark.slow
async def test_a_grandchild_that_holds_the_output_open_does_not_hold_the_step(commands: Commands, life) -> None:
    """It is ended when the drain time is over, and the step has what the leader wrote."""
    script = '(exec 9>life; echo up >&9; trap "" TERM; while :; do sleep 1000; done) & echo done'
    output = await commands.run(shell(script))
    assert output["stdout"] == "done\n"
    assert not life.is_held
    assert commands.ledger.standing == {}


async def test_a_grandchild_that_finishes_its_output_after_the_leader_is_waited_for(commands: Commands) -> None:
    """Ends of pipelines: what `tee` still writes when the leader is gone belongs to the output."""
    os.mkfifo(commands.folder / "go")
    script = "(read -r _ <go; seq 20000) & exec 3>go; echo first; echo go >&3"
    output = await commands.run(shell(script))
    assert output["stdout"].startswith("first\n")
    assert output["stdout"].endswith("\n20000\n")


@pytest.mark.slow
async def test_two_hundred_commands_leave_no_descriptor_and_no_zombie(commands: Commands) -> None:
    await commands.run(["true"])
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        await asyncio.gather(*(commands.run(["cat"], stdin=f"{n}") for n in range(20)))
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert not [group_id for group_id in commands.ledger.ever if process_group._facts(group_id)], "not even zombies"
    assert commands.ledger.standing == {}
    assert len(commands.ledger.ever) == 201

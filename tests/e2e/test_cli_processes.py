"""The command line as a process: signals, a real terminal, other processes. C3, F1, I9, W20."""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

# The second step waits until somebody writes into the pipe `gate`.
GATED = '''
"""Wait at a gate."""
from sidestep import command, log

async def main():
    await command(["echo", "first"], id="first")
    log("at the gate")
    await command(["cat", "gate"], id="gated")
    return "# Through"
'''
BUSY = """
from sidestep import command

async def main():
    await command(["true"], id="first")
    while True:
        pass
"""


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("gated", GATED)
    made.script("busy", BUSY)
    os.mkfifo(made.folder / "gate")
    return made


def open_gate(cli: CommandLine) -> None:
    """Let the step through; returns when it is there to be let through."""
    with (cli.folder / "gate").open("w"):
        pass


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read stderr until a line has the words; returns that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"stderr ended without {words!r}")


@contextlib.contextmanager
def at_the_gate(cli: CommandLine, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`sidestep run gated`, when its second step is running; killed at the end if it still lives."""
    with cli.spawn("run", "gated", *words) as process:
        try:
            read_until(process, "at the gate")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_durably_and_says_how_to_continue(cli: CommandLine, number: signal.Signals) -> None:
    """C3: reason user. The signal goes to the whole group, as Ctrl-C in a terminal does."""
    with at_the_gate(cli) as process:
        os.killpg(process.pid, number)
        out, err = process.communicate()
    (run,) = cli.runs()
    assert (process.returncode, out) == (4, "")
    assert (run["status"], run["reason"]) == ("interrupted", "user")
    assert "owner" not in run
    assert f"sidestep runs continue {run['runId']}" in err


def test_ctrl_c_in_a_busy_loop_interrupts_too(cli: CommandLine) -> None:
    with cli.spawn("run", "busy") as process:
        read_until(process, "step   first")
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert process.returncode == 4
    assert [(run["status"], run["reason"]) for run in cli.runs()] == [("interrupted", "user")]


def test_what_was_interrupted_is_continued_without_doing_a_finished_step_again(cli: CommandLine) -> None:
    with at_the_gate(cli) as process:
        process.send_signal(signal.SIGINT)
        process.communicate()
    with cli.spawn("runs", "continue", "last", "--json") as process:
        open_gate(cli)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert '"steps":{"completed":2,"reused":1' in out
    assert '"report":"# Through"' in out


def test_a_killed_command_line_leaves_a_run_that_can_be_continued(cli: CommandLine) -> None:
    with at_the_gate(cli) as process:
        process.kill()
        process.wait()
    (run,) = cli.runs()
    assert (run["status"], run["reason"]) == ("interrupted", "crash")
    with cli.spawn("runs", "continue", "last") as process:
        open_gate(cli)
        out, _ = process.communicate()
    assert (process.returncode, out) == (0, "# Through\n")


def test_a_second_ctrl_c_takes_the_time_away_from_a_command_that_ignores_its_end(cli: CommandLine) -> None:
    cli.script(
        "deaf",
        "from sidestep import command\n\nasync def main():\n"
        "    await command(['sh', '-c', 'trap \"\" TERM; echo $$ > pid; read word < gate'], id='deaf')\n",
    )
    with cli.spawn("run", "deaf") as process:
        # The shell opens the pipe once its trap is set.
        writer = os.open(cli.folder / "gate", os.O_WRONLY)
        process.send_signal(signal.SIGINT)
        read_until(process, "Once more to hurry")
        process.send_signal(signal.SIGINT)
        process.communicate()
        os.close(writer)
    assert process.returncode == 4
    with pytest.raises(ProcessLookupError):
        os.kill(int((cli.folder / "pid").read_text()), 0)


def test_a_run_of_another_process_is_refused_with_its_pid_and_interrupted_on_request(cli: CommandLine) -> None:
    """F1, I9"""
    with at_the_gate(cli) as process:
        refused = cli("runs", "continue", "last", "--json")
        assert refused.exit == 6
        assert f"process {process.pid}" in refused.err
        assert refused.lines[0]["error"]["data"]["pid"] == process.pid
        assert cli("runs", "delete", "last").exit in (2, 6)
        stopped = cli("runs", "interrupt", "last")
        assert stopped.exit == 0
        assert "is interrupted." in stopped.out
        process.communicate()
    assert process.returncode == 4
    assert [(run["status"], run["reason"]) for run in cli.runs()] == [("interrupted", "user")]


def test_revoked_trust_interrupts_what_runs_there(cli: CommandLine) -> None:
    """D3"""
    with at_the_gate(cli) as process:
        said = cli("trust", "--revoke")
        assert "1 run interrupted" in said.err
        process.communicate()
    assert process.returncode == 4


def test_a_start_key_attaches_to_the_run_of_another_process(cli: CommandLine) -> None:
    """S7"""
    with at_the_gate(cli, "--start-key", "k") as first, cli.spawn("run", "gated", "--start-key", "k") as second:
        open_gate(cli)
        answers = {process.communicate()[0] for process in (first, second)}
    assert answers == {"# Through\n"}
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(cli.runs()) == 1


def test_a_reader_that_goes_away_is_no_traceback(cli: CommandLine) -> None:
    cli.script("long", "async def main():\n    return 'x' * 1000000\n")
    with cli.spawn("run", "long") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "incident" not in err


class Terminal:
    """A command on a real terminal: what it writes can be waited for, words can be typed."""

    def __init__(self, cli: CommandLine, *words: str) -> None:
        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(cli.folder)
            environ = {**cli.environ, "TERM": "xterm-256color", "LINES": "40"}
            os.execve(sys.executable, [sys.executable, "-m", "sidestep", *words], environ)

    def read_until(self, words: str) -> None:
        """Read until the words have been written."""
        while words not in self.text:
            piece = self._read()
            assert piece, f"the terminal ended without {words!r}: {self.text}"

    def wait_until_it_reads(self) -> None:
        """Return once its main thread sleeps, which after a question it does in the read alone; needs /proc."""
        stat = Path(f"/proc/{self.pid}/stat")
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "S":
            pass

    def type(self, words: str) -> None:
        os.write(self._terminal, words.encode())

    def close(self) -> None:
        """Close the window: its processes are hung up."""
        os.close(self._terminal)

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        self.close()
        return self.wait()

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> str:
        try:
            piece = os.read(self._terminal, 65536).decode("utf-8", "replace")
        except OSError:
            piece = ""
        self.text += piece
        return piece


def test_a_person_is_asked_for_trust_once(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("flow", "async def main():\n    return '# Title'\n")
    refused = Terminal(cli, "run", "flow")
    refused.read_until("[y/N]")
    refused.type("\n")
    assert refused.end() == 7
    asked = Terminal(cli, "run", "flow")
    asked.read_until("[y/N]")
    asked.type("y\n")
    assert asked.end() == 0
    again = Terminal(cli, "run", "flow")
    assert again.end() == 0
    assert "[y/N]" not in again.text


def test_ctrl_c_at_the_question_leaves_at_once_and_trusts_nothing(tmp_path: Path) -> None:
    """D3"""
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("flow", "async def main():\n    return '# Title'\n")
    asked = Terminal(cli, "run", "flow")
    asked.read_until("[y/N]: ")
    asked.wait_until_it_reads()
    asked.type("\x03")
    asked.read_until("Stopped.")
    with contextlib.suppress(OSError):
        asked.type("y\n")
    assert asked.end() == 4
    assert not (cli.store.parent / "trust.json").exists()


def test_a_store_that_cannot_be_used_is_told_before_the_question(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("flow", "async def main():\n    return '# Title'\n")
    asked = Terminal(cli, "run", "flow", "--store", str(cli.folder))
    assert asked.end() == 3
    assert "is a folder" in asked.text
    assert "[y/N]" not in asked.text


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux: the disk of a running process is filled")
def test_a_second_ctrl_c_ends_a_run_whose_store_takes_no_more(cli: CommandLine) -> None:
    with at_the_gate(cli) as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
        process.send_signal(signal.SIGINT)
        read_until(process, "Once more to hurry")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 4
    assert err.count("waits for its store") <= 1
    assert [(run["status"], run["reason"]) for run in cli.runs()] == [("interrupted", "crash")]


def test_prune_asks_at_a_terminal(cli: CommandLine) -> None:
    cli.script("flow", "async def main():\n    return 1\n")
    assert cli("run", "flow").exit == 0
    refused = Terminal(cli, "runs", "prune", "--older-than", "0s")
    refused.read_until("[y/N]")
    refused.type("\n")
    assert refused.end() == 4
    assert len(cli.runs()) == 1
    asked = Terminal(cli, "runs", "prune", "--older-than", "0s")
    asked.read_until("[y/N]")
    asked.type("y\n")
    assert asked.end() == 0
    assert cli.runs() == []


def shell(cli: CommandLine, words: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in the workspace; `$sidestep` is the command."""
    environ = {**cli.environ, "sidestep": f"{sys.executable} -m sidestep"}
    return subprocess.run(["sh", "-c", words], cwd=cli.folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["run flow", "run flow --events", "scripts", "runs list"])
def test_a_full_stdout_is_one_line_and_no_incident(cli: CommandLine, words: str) -> None:
    cli.script("flow", "async def main():\n    return 'x'\n")
    assert cli("run", "flow").exit == 0
    done = shell(cli, f"exec $sidestep {words} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "sidestep: cannot write to stdout: No space left on device."
    assert not (cli.store.parent / "incidents.log").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_accident(cli: CommandLine, closed: str) -> None:
    cli.script("flow", "async def main():\n    return 'x'\n")
    done = shell(cli, f"exec $sidestep run flow {closed}")
    assert done.returncode == 0, done.stderr
    assert [run["status"] for run in cli.runs()] == ["completed"]
    assert not (cli.store.parent / "incidents.log").exists()


@pytest.mark.parametrize("words", ["run flow", "runs list", "validate x.py", "trust", "scripts"])
def test_a_working_folder_that_is_gone_is_told(cli: CommandLine, words: str) -> None:
    done = shell(cli, f"mkdir gone && cd gone && rmdir ../gone && exec $sidestep {words}")
    assert done.returncode == 2
    assert "the folder you are in was deleted" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (cli.store.parent / "incidents.log").exists()


def test_a_terminal_gets_the_card_and_a_set_report(cli: CommandLine) -> None:
    terminal = Terminal(cli, "run", "gated")
    terminal.read_until("at the gate")
    open_gate(cli)
    assert terminal.end() == 0
    assert "gated" in terminal.text
    assert "✓" in terminal.text
    assert "2 ran" in terminal.text
    assert "completed" in terminal.text
    assert "# Through" not in terminal.text
    assert "Through" in terminal.text.rpartition("completed")[2]


def test_ctrl_c_typed_at_the_terminal_interrupts(cli: CommandLine) -> None:
    terminal = Terminal(cli, "run", "gated")
    terminal.read_until("at the gate")
    terminal.type("\x03")
    terminal.read_until("sidestep runs continue run_")
    assert terminal.end() == 4


def test_a_terminal_that_is_closed_interrupts_durably(cli: CommandLine) -> None:
    terminal = Terminal(cli, "run", "gated")
    terminal.read_until("at the gate")
    terminal.close()
    assert terminal.wait() >= 0
    assert [(run["status"], run["reason"]) for run in cli.runs()] == [("interrupted", "user")]

"""Questions at the command line: asked at a terminal, or the end of a run that nobody can answer. P7, C3."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine
from tests.support.raw_client import RawClient, message_where, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.expectations import Expectation, Message

pytestmark = pytest.mark.slow

SHIP = '''
"""Ask whether to ship."""
from sidestep import ask, command

async def main():
    await command(["sh", "-c", "echo built >> calls"], id="build")
    return "shipped: " + await ask("Ship it?", id="ship", choices=["yes", "no"])
'''
FORM = '''
"""Ask for a port, then for a reason."""
from sidestep import ask

async def main():
    port = await ask("Which port?", id="port", schema={"type": "integer", "maximum": 9})
    return f"{port}: " + await ask("Why?", id="why")
'''
BOTH = '''
"""Ask two people at once."""
from sidestep import ask, parallel

async def main():
    return " and ".join(await parallel([ask("One?", id="one"), ask("Two?", id="two", choices=["-x", "y"])]))
'''
TWICE = '''
"""Have another workflow ask, twice."""
from sidestep import parallel, workflow

async def main():
    await parallel([workflow("ship", id="first"), workflow("ship", id="second")])
'''
PARENT = '''
"""Have another workflow ask."""
from sidestep import workflow

async def main():
    return (await workflow("ship", id="below"))
'''
GATED = '''
"""Wait at a gate, then ask."""
from sidestep import ask, command, log

async def main():
    log("at the gate")
    await command(["cat", "gate"], id="gated")
    return await ask("Ship it?", id="ship", choices=["yes", "no"])
'''


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    for name, source in (("ship", SHIP), ("form", FORM), ("both", BOTH), ("parent", PARENT), ("gated", GATED)):
        made.script(name, source)
    return made


class Terminal:
    """A command on a terminal of its own, and everything it showed."""

    def __init__(self, cli: CommandLine, *words: str) -> None:
        controller, terminal = pty.openpty()
        self._descriptor = controller
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sidestep", *words],
            cwd=cli.folder,
            env={**cli.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._text = ""
        self._read_to = 0

    def until(self, words: str) -> None:
        """Wait until the terminal has shown the words, after those waited for before."""
        ends_at = time.monotonic() + 30
        while words not in self._text[self._read_to :]:
            left_s = ends_at - time.monotonic()
            assert left_s > 0, f"{words!r} is not shown in {self._text[-2000:]!r}"
            if select.select([self._descriptor], [], [], left_s)[0]:
                try:
                    shown = os.read(self._descriptor, 65536)
                except OSError:
                    shown = b""
                assert shown, f"the terminal ended without {words!r}: {self._text[-2000:]!r}"
                self._text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
        self._read_to = self._text.index(words, self._read_to) + len(words)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the command's end: exit code, stdout."""
        assert self.process.stdout is not None
        out = self.process.stdout.read().decode()
        with contextlib.suppress(OSError):
            while shown := os.read(self._descriptor, 65536):
                self._text += shown.decode(errors="replace")
        return self.process.wait(30), out

    @property
    def rest(self) -> str:
        """What was shown after what was waited for."""
        return self._text[self._read_to :]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._descriptor)


@contextlib.contextmanager
def terminal(cli: CommandLine, *words: str) -> Iterator[Terminal]:
    made = Terminal(cli, *words)
    try:
        yield made
    finally:
        made.close()


def commands_in(text: str, verb: str) -> list[list[str]]:
    """The commands of `sidestep runs VERB` that were printed, as words after `sidestep`."""
    return [shlex.split(found)[1:] for found in re.findall(rf"sidestep runs {verb} .*", text)]


def calls(cli: CommandLine) -> int:
    return len((cli.folder / "calls").read_text().splitlines())


def test_p7_without_a_terminal_the_run_is_interrupted_and_the_printed_commands_work(cli: CommandLine) -> None:
    said = cli("run", "ship")
    (run,) = cli.runs()
    assert (said.exit, said.out) == (4, "")
    assert (run["status"], run["reason"], run["pending"]) == ("interrupted", "user", 1)
    assert "Ship it?" in said.err
    answers, on = commands_in(said.err, "answer"), commands_in(said.err, "continue")
    assert answers == [["runs", "answer", run["runId"], "yes"], ["runs", "answer", run["runId"], "no"]]
    assert on == [["runs", "continue", run["runId"]]]
    answered = cli(*answers[1])
    assert (answered.exit, answered.out) == (0, "Answered.\n")
    assert commands_in(answered.err, "continue") == on
    done = cli(*on[0])
    assert (done.exit, done.out) == (0, "shipped: no\n")
    told = json.loads(cli("runs", "show", "last", "--json").out)
    assert [(each["title"], each["answer"], each["by"]) for each in told["answered"]] == [
        ("Ship it?", "no", "terminal")
    ]
    assert (told["pending"], told["answered"][0]["runId"]) == ([], run["runId"])
    assert calls(cli) == 1, "what was finished is not done again"
    events = cli("runs", "events", "last", "--json").lines
    asked = [event for event in events if event["type"] == "interaction"]
    assert [(event["status"], event.get("answer"), event.get("by")) for event in asked] == [
        ("asked", None, None),
        ("answered", "no", "terminal"),
    ]


def test_p7_the_outcome_as_json_tells_what_it_waits_for(cli: CommandLine) -> None:
    said = cli("run", "ship", "--json")
    (outcome,) = said.lines
    assert (said.exit, outcome["status"]) == (4, "interrupted")
    assert outcome["pending"] == json.loads(cli("runs", "show", "last", "--json").out)["pending"]
    assert [question["title"] for question in outcome["pending"]] == ["Ship it?"]
    assert cli("runs", "answer", "last", "yes").exit == 0
    (outcome,) = cli("runs", "continue", "last", "--json").lines
    assert "pending" not in outcome


def test_p7_resumed_without_an_answer_it_is_interrupted_again_and_not_asked_again(cli: CommandLine) -> None:
    assert cli("run", "ship").exit == 4
    for verb in ("resume", "continue"):
        again = cli("runs", verb, "last")
        assert (again.exit, again.out) == (4, "")
        assert len(commands_in(again.err, "answer")) == 2
    events = cli("runs", "events", "last", "--json").lines
    assert [event["status"] for event in events if event["type"] == "interaction"] == ["asked"]
    assert calls(cli) == 1


def ask_both(cli: CommandLine) -> None:
    """An interrupted run with two open questions."""
    with RawClient.spawn(store=cli.store) as client:
        client.initialize(folders=[cli.folder])
        client.request("workflow/start", {"script": {"name": "both"}, "mode": "background"})
        client.expect(_pending(2))
        assert client.shut_down() == 0


def test_open_questions_are_shown_and_listed(cli: CommandLine) -> None:
    ask_both(cli)
    (run,) = cli.runs()
    shown = cli("runs", "show", "last").out
    assert "Open questions (2):" in shown
    assert "Ship it?" not in shown
    assert shown.index("One? (one)") < shown.index("Two? (two)"), "as they were asked, with their steps"
    assert {tuple(words[:3]) for words in commands_in(shown, "answer")} == {("runs", "answer", run["runId"])}
    assert all("--interaction" in words for words in commands_in(shown, "answer"))
    assert "2 questions" in cli("runs", "list").out
    told = json.loads(cli("runs", "show", "last", "--json").out)
    assert sorted(question["title"] for question in told["pending"]) == ["One?", "Two?"]
    assert run["pending"] == 2


def test_of_several_questions_one_is_named_and_every_printed_command_works(cli: CommandLine) -> None:
    ask_both(cli)
    unnamed = cli("runs", "answer", "last", "x")
    assert (unnamed.exit, unnamed.out) == (2, "")
    assert "2 open questions" in unnamed.err
    assert unnamed.err.count("--interaction ask_") == 3
    proposed = commands_in(cli("runs", "show", "last").out, "answer")
    (text,) = [words for words in proposed if "TEXT" in words]
    (dashed,) = [words for words in proposed if words[-2:] == ["--", "-x"]]
    assert cli(*[word.replace("TEXT", "mine") for word in text]).exit == 0
    assert cli(*dashed).exit == 0
    assert cli("runs", "resume", "last").out == "mine and -x\n"


def test_of_several_questions_one_is_named_by_its_step(cli: CommandLine) -> None:
    ask_both(cli)
    assert cli("runs", "answer", "last", "mine", "--interaction", "one").out == "Answered.\n"
    unknown = cli("runs", "answer", "last", "mine", "--interaction", "three")
    assert (unknown.exit, "three is no open question" in unknown.err) == (5, True)
    late = cli("runs", "answer", "last", "other", "--interaction", "one")
    assert (late.exit, late.err.splitlines()[0]) == (5, 'It had been answered already: "mine"')
    assert cli("runs", "answer", "last", "y", "--interaction", "two").exit == 0
    assert cli("runs", "continue", "last").out == "mine and y\n"


def test_a_step_that_asks_in_several_runs_names_no_question(cli: CommandLine) -> None:
    cli.script("twice", TWICE)
    with RawClient.spawn(store=cli.store) as client:
        client.initialize(folders=[cli.folder])
        client.request("workflow/start", {"script": {"name": "twice"}, "mode": "background"})
        client.expect(_pending(2))
        assert client.shut_down() == 0
    said = cli("runs", "answer", "last", "yes", "--interaction", "ship")
    assert (said.exit, "2 open questions" in said.err) == (2, True)
    listed = said.err.partition("open questions")[2]
    for words in [words for words in commands_in(listed, "answer") if "yes" in words]:
        assert cli(*words).exit == 0


def test_p7_a_second_answer_by_the_run_alone_is_told_the_first(cli: CommandLine) -> None:
    cli("run", "parent")
    assert cli("runs", "answer", "last", "no").exit == 0
    late = cli("runs", "answer", "last", "yes")
    assert (late.exit, late.out) == (5, "")
    assert "has no open question" in late.err
    assert 'Its last one was answered already: "no"' in late.err
    (words,) = [shlex.split(found)[1:] for found in re.findall(r"`(sidestep runs show .*)`", late.err)]
    for shown in (cli(*words).out, cli("runs", "show", "last").out):
        assert '\nAnswered questions:\n  Ship it? (ship): "no", by terminal\n' in shown
    assert "Answered questions" not in cli("runs", "show", _started(cli, "form")).out


def _started(cli: CommandLine, name: str) -> str:
    (outcome,) = cli("run", name, "--json").lines
    return str(outcome["runId"])


def test_a_schema_is_shown_wherever_its_question_is(cli: CommandLine) -> None:
    line = '  JSON that fits {"maximum":9,"type":"integer"}\n'
    said = cli("run", "form")
    assert f"\nWhich port? (port)\n{line}" in said.err
    assert line in cli("runs", "show", "last").out
    assert line in cli("runs", "answer", "last").err


def test_answers_are_numbers_words_json_and_text_and_the_wrong_ones_are_refused(cli: CommandLine) -> None:
    cli("run", "form")
    no_json = "  the answer: not JSON; texts need quotes\n"
    for wrong, why in (("x", no_json), ("12", "maximum"), ('"7"', "the answer: "), ("NaN", no_json)):
        said = cli("runs", "answer", "last", wrong)
        assert (said.exit, said.out) == (2, "")
        assert why in said.err
    said = cli("runs", "answer", "last", "7", "--json")
    assert (said.exit, said.lines) == (0, [{"accepted": True, "recorded": 7}])
    assert cli("runs", "answer", "last", "8").exit == 5
    assert cli("runs", "resume", "last").exit == 4
    assert cli("runs", "answer", "last", "a reason").exit == 0
    assert cli("runs", "resume", "last").out == "7: a reason\n"
    refused = cli("runs", "answer", "last", "more", "--json")
    assert (refused.exit, refused.lines[0]["error"]["data"]["reason"]) == (5, "interactionNotPending")
    assert "has no open question" in refused.err


def test_w25_a_second_answer_is_told_the_first(cli: CommandLine) -> None:
    cli("run", "ship")
    asked = json.loads(cli("runs", "show", "last", "--json").out)["pending"][0]["interactionId"]
    assert cli("runs", "answer", "last", "2", "--interaction", asked).exit == 0
    late = cli("runs", "answer", "last", "1", "--interaction", asked)
    assert (late.exit, late.out) == (5, "")
    assert 'answered already: "no"' in late.err
    assert cli("runs", "answer", "last", "1", "--interaction", "ask_nothing").exit == 5
    assert cli("runs", "answer", "run_nothing", "1").exit == 5


def test_p7_a_nested_runs_question_is_answered_through_its_root_or_itself(cli: CommandLine) -> None:
    said = cli("run", "parent")
    assert said.exit == 4
    answers = commands_in(said.err, "answer")
    (run,) = cli.runs()
    assert answers[0][2] != run["runId"], "the run that asks"
    assert run["pending"] == 1
    assert cli("runs", "answer", run["runId"], "yes").exit == 0
    assert cli("runs", "resume", "last").out == "shipped: yes\n"


def test_p7_at_a_terminal_the_person_is_asked_until_the_answer_fits(cli: CommandLine) -> None:
    with terminal(cli, "run", "form") as person:
        person.until("Which port?")
        person.until("Answer: ")
        person.type("twelve\n")
        person.until("the answer: not JSON; texts need quotes")
        person.until("Answer: ")
        person.type("12\n")
        person.until("Answer: ")
        person.type("7\n")
        person.until("Why?")
        for nothing in ("\n", " \n"):
            person.until("Answer: ")
            person.type(nothing)
        person.until("Answer: ")
        person.type("because ü\n")
        assert person.end() == (0, "7: because ü\n")


def test_p7_at_a_terminal_choices_are_taken_by_number(cli: CommandLine) -> None:
    with terminal(cli, "run", "ship") as person:
        person.until("1) yes")
        person.until("Number or words: ")
        person.type("3\n")
        person.until("none of the choices")
        person.until("Number or words: ")
        person.type("2\n")
        assert person.end() == (0, "shipped: no\n")


def test_p7_another_process_answers_the_run_that_waits_at_a_terminal(cli: CommandLine) -> None:
    with terminal(cli, "run", "ship") as person:
        person.until("Number or words: ")
        assert cli("runs", "answer", "last", "yes").exit == 0
        person.until("Answered in another terminal.")
        assert person.end() == (0, "shipped: yes\n")


@pytest.mark.parametrize("keys", ["\x04", "\x03"], ids=["ctrl-d", "ctrl-c"])
def test_c3_a_person_who_has_no_answer_stops_the_run_and_is_asked_again_on_resume(cli: CommandLine, keys: str) -> None:
    with terminal(cli, "run", "ship") as person:
        person.until("Number or words: ")
        if keys == "\x03":
            # The command is in a session of its own, which has no controlling terminal to make the signal.
            person.process.send_signal(signal.SIGINT)
        else:
            person.type(keys)
        assert person.end() == (4, "")
    with terminal(cli, "runs", "resume", "last") as person:
        person.until("Number or words: ")
        person.type("yes\n")
        assert person.end() == (0, "shipped: yes\n")
    assert calls(cli) == 1


def test_p7_a_server_waits_and_the_command_line_answers(cli: CommandLine) -> None:
    with RawClient.spawn(store=cli.store) as client:
        client.initialize(folders=[cli.folder])
        number = client.request("workflow/start", {"script": {"name": "ship"}, "mode": "foreground"})
        client.expect(notification("workflow/statusChanged", status="running"))
        client.expect(_pending(1))
        listed = cli("runs", "list").out
        assert "running" in listed
        assert "1 question" in listed
        (words, _) = commands_in(cli("runs", "show", "last").out, "answer")
        assert cli(*words).exit == 0
        assert client.expect(response_to(number))["result"]["result"]["report"] == "shipped: yes"
        assert client.expect(notification("workflow/interactionResolved"))["params"]["by"] == "terminal"


def test_b1_p7_in_the_background_a_run_tells_its_question_and_waits(cli: CommandLine) -> None:
    os.mkfifo(cli.folder / "gate")
    with cli.spawn("run", "gated") as process:
        try:
            assert process.stderr is not None
            _until(process, "at the gate")
            assert cli("runs", "background", "last").exit == 0
            _until(process, "Moved to the background")
            (cli.folder / "gate").write_text("")
            told = _until(process, "It waits for an answer") + _until(process, "Answer it with")
            (words,) = commands_in(told, "answer")
            assert cli(*words).exit == 0
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "yes\n")


def _until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"stderr ended without {words!r}")


def _pending(count: int) -> Expectation:
    def fits(message: Message) -> bool:
        return bool(message.get("params", {}).get("summary", {}).get("pending") == count)

    return message_where(fits, f"a status with {count} open questions")

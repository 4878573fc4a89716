"""Nested runs at the command line: shown with their root, asked through it, removed with it. I5, P8."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from sidestep.system import SystemClock
from tests.e2e.test_cli_processes import open_gate, read_until
from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# The leaf waits at a gate when it is told to.
LEAF = '''
"""One step."""
from sidestep import command, log

async def main(gated: bool = False):
    await command(["sh", "-c", "echo leaf >> calls"], id="work")
    if gated:
        log("at the gate")
        await command(["cat", "gate"], id="gated")
    return "leaf"
'''
MIDDLE = '''
"""A leaf below."""
from sidestep import workflow

async def main(gated: bool = False):
    return await workflow("leaf", id="leaf", args={"gated": gated})
'''
ROOT = '''
"""Two levels below."""
from sidestep import workflow

async def main(gated: bool = False):
    await workflow("leaf", id="first", title="The first")
    return await workflow("middle", id="second", args={"gated": gated})
'''
FAILS = '''
"""A child that fails."""
from sidestep import workflow

async def main():
    return await workflow("broken", id="child")
'''
BROKEN = """
from sidestep import command

async def main():
    await command(["test", "-e", "ready"], id="check")
    return "mended"
"""


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    for name, source in (("leaf", LEAF), ("middle", MIDDLE), ("root", ROOT), ("fails", FAILS), ("broken", BROKEN)):
        made.script(name, source)
    os.mkfifo(made.folder / "gate")
    return made


def shown(cli: CommandLine, run_id: str = "last") -> dict[str, Any]:
    """What `runs show --json` says."""
    told: dict[str, Any] = json.loads(cli("runs", "show", run_id, "--json").out)
    return told


def test_a_root_is_shown_with_its_tree_and_a_child_with_its_parents(cli: CommandLine) -> None:
    assert cli("run", "root").out == "leaf\n"
    told = shown(cli)
    root = told["run"]["runId"]
    first, middle, leaf = told["nested"]
    assert [each["name"] for each in told["nested"]] == ["leaf", "middle", "leaf"]
    assert [each["parentRunId"] for each in told["nested"]] == [root, root, middle["runId"]]
    assert [step["childRunId"] for step in told["steps"]] == [first["runId"], middle["runId"]]

    lines = cli("runs", "show", "last").out.splitlines()
    below = lines[lines.index("Nested runs (3):") + 1 :][:3]
    assert [line.split()[0] for line in below] == [first["runId"], middle["runId"], leaf["runId"]]
    assert [len(line) - len(line.lstrip()) for line in below] == [2, 2, 4]
    assert "completed" in below[0]
    assert "leaf [The first]" in below[0]

    rows = [line.split() for line in cli("runs", "show", leaf["runId"]).out.splitlines()]
    assert ["parent", middle["runId"]] in rows
    assert ["root", root] in rows
    assert not any(row[:2] == ["Nested", "runs"] for row in rows)
    assert len(cli.runs()) == 1


def test_lines_and_events_tell_of_each_child_with_its_id(cli: CommandLine) -> None:
    said = cli("run", "root")
    first, middle, leaf = (each["runId"] for each in shown(cli)["nested"])
    assert f"child  leaf {first} begins (step first)" in said.err.splitlines()
    assert f"child  middle {middle} begins (step second)" in said.err.splitlines()
    # A grandchild is its parent's business.
    assert leaf not in said.err
    assert f"child  leaf {leaf} begins (step leaf)" in cli("runs", "events", middle).out.splitlines()
    stored = [event for event in cli("runs", "events", "last", "--json").lines if event["type"] == "child"]
    live = [event for event in cli("run", "root", "--events").lines if event["type"] == "child"]
    for events in (stored, live):
        assert [(event["stepId"], event["name"], event["status"]) for event in events] == [
            ("first", "leaf", "pending"),
            ("second", "middle", "pending"),
        ]
    assert [event["childRunId"] for event in stored] == [first, middle]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["continue"], "runs continue ROOT"),
        (["continue", "--edited"], "runs continue ROOT --edited"),
        (["resume"], "runs resume ROOT"),
        (["retry"], "runs retry ROOT"),
        (["retry", "--edited"], "runs retry ROOT --edited"),
        (["background"], "runs background ROOT"),
        (["delete"], "runs delete ROOT"),
    ],
)
def test_what_is_asked_of_a_child_is_refused_with_the_words_for_its_root(
    cli: CommandLine, words: list[str], answer: str
) -> None:
    assert cli("run", "fails").exit == 1
    told = shown(cli)
    root, (child,) = told["run"]["runId"], (each["runId"] for each in told["nested"])
    verb, *options = words
    refused = cli("runs", verb, child, *options)
    assert (refused.exit, refused.out) == (2, "")
    assert f"{child} is a nested run of {root}" in refused.err
    assert f"  sidestep {answer.replace('ROOT', root)}" in refused.err.splitlines()
    assert len(shown(cli)["nested"]) == 1


@pytest.mark.parametrize("verb", ["continue", "resume", "retry", "background", "delete"])
def test_a_child_that_completed_is_refused_too(cli: CommandLine, verb: str) -> None:
    assert cli("run", "root").exit == 0
    refused = cli("runs", verb, shown(cli)["nested"][0]["runId"])
    assert (refused.exit, refused.out) == (2, "")
    assert "is a nested run of" in refused.err


def test_a_refusal_for_a_child_names_its_root_in_json_and_asks_nobody_for_trust(cli: CommandLine) -> None:
    assert cli("run", "fails").exit == 1
    told = shown(cli)
    assert cli("trust", "--revoke").exit == 0
    refused = cli("runs", "continue", told["nested"][0]["runId"], "--json")
    assert refused.exit == 2
    assert refused.lines[0]["error"]["data"]["rootRunId"] == told["run"]["runId"]


def test_a_failed_child_is_told_and_goes_on_with_its_root(cli: CommandLine) -> None:
    """P8"""
    assert cli("run", "fails").exit == 1
    told = shown(cli)
    child = told["nested"][0]["runId"]
    assert told["nested"][0]["status"] == "failed"
    (cli.folder / "ready").touch()
    said = cli("runs", "retry", "last")
    assert (said.exit, said.out) == (0, "mended\n")
    assert f"child  broken {child} goes on (step child)" in said.err.splitlines()
    assert [each["runId"] for each in shown(cli)["nested"]] == [child]


def test_i5_interrupting_a_grandchild_interrupts_its_root_and_says_so(cli: CommandLine) -> None:
    with cli.spawn("run", "root", "gated:=true") as process:
        try:
            read_until(process, "child  middle")
            # The leaf's command opens the gate when everything above it runs.
            writer = os.open(cli.folder / "gate", os.O_WRONLY)
            told = shown(cli)
            root, (first, middle, leaf) = told["run"]["runId"], (each["runId"] for each in told["nested"])
            assert [each["status"] for each in told["nested"]] == ["completed", "running", "running"]

            over = cli("runs", "interrupt", first)
            assert (over.exit, over.out) == (0, f"{first} had already completed.\n")
            assert f"  sidestep runs interrupt {root}" in over.err.splitlines()
            assert shown(cli)["run"]["status"] == "running"

            said = cli("runs", "interrupt", leaf)
            assert said.exit == 0
            assert said.out.splitlines() == [
                f"{leaf} is interrupted: it is a nested run of {root}.",
                f"{root} is interrupted.",
            ]
            assert f"sidestep runs continue {root}" in said.err
            process.communicate()
            os.close(writer)
        finally:
            process.kill()
    assert process.returncode == 4
    assert [each["reason"] for each in shown(cli)["nested"] if each["status"] == "interrupted"] == ["parent"] * 2
    with cli.spawn("runs", "continue", root) as process:
        open_gate(cli)
        out, _ = process.communicate()
    assert (process.returncode, out) == (0, "leaf\n")
    assert (cli.folder / "calls").read_text() == "leaf\n" * 2
    assert [each["runId"] for each in shown(cli)["nested"]] == [first, middle, leaf]


def test_ctrl_c_interrupts_the_whole_tree(cli: CommandLine) -> None:
    """I5"""
    with cli.spawn("run", "root", "gated:=true") as process:
        read_until(process, "child  middle")
        writer = os.open(cli.folder / "gate", os.O_WRONLY)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        os.close(writer)
    told = shown(cli)
    assert (process.returncode, told["run"]["reason"]) == (4, "user")
    assert [each["status"] for each in told["nested"]] == ["completed", "interrupted", "interrupted"]


# Large enough that the outputs of steps and the results of runs stand in files.
LARGE_CHILD = """
from sidestep import command

async def main(letter: str):
    await command(["sh", "-c", "head -c 200000 /dev/zero | tr '\\\\0' " + letter + " | tee /dev/stderr"], id="much")
    return letter * 1500000
"""
LARGE = """
from sidestep import command, workflow

async def main(letter: str):
    await command(["sh", "-c", "head -c 200000 /dev/zero | tr '\\\\0' " + letter + " | tee /dev/stderr"], id="much",
        env={"whose": "root"})
    await workflow("large-child", id="child", args={"letter": letter}, on_error="return")
    return letter * 1500000
"""


def large(cli: CommandLine, letter: str, *, days_ago: int = 0) -> str:
    """A completed run with one nested run, both with an output and a result in files; returns its id."""
    cli.script("large-child", LARGE_CHILD)
    cli.script("large", LARGE)
    now_ms = SystemClock().now_ms()
    with patch.object(SystemClock, "now_ms", lambda _: now_ms - days_ago * 86_400_000):
        said = cli("run", "large", f"letter={letter}", "--json")
    assert said.exit == 0, said.err
    run_id: str = said.lines[0]["runId"]
    return run_id


def files(cli: CommandLine, letter: str) -> tuple[int, int]:
    """How many outputs and results stand in files of the runs with the letter."""
    counted = [
        sum(letter * 1000 in each.read_text() for each in cli.store.with_name(f"sidestep.db-{kind}").rglob("*.*"))
        for kind in ("outputs", "results")
    ]
    return counted[0], counted[1]


def test_delete_removes_the_tree_with_its_files(cli: CommandLine) -> None:
    gone, kept = large(cli, "a"), large(cli, "b")
    (child,) = (each["runId"] for each in shown(cli, gone)["nested"])
    before = files(cli, "b")
    assert before[0] >= 1
    assert files(cli, "a")[1] == before[1] == 2
    said = cli("runs", "delete", gone)
    assert (said.exit, said.out) == (0, f"{gone} (large) is deleted.\n")
    assert (files(cli, "a"), files(cli, "b")) == ((0, 0), before)
    for run_id in (gone, child):
        assert cli("runs", "show", run_id).exit == 5
    assert [each["runId"] for each in cli.runs()] == [kept]
    assert len(shown(cli, kept)["nested"]) == 1


def test_delete_of_a_root_and_a_child_removes_neither(cli: CommandLine) -> None:
    assert cli("run", "root").exit == 0
    told = shown(cli)
    assert cli("runs", "delete", told["run"]["runId"], told["nested"][0]["runId"]).exit == 2
    assert len(shown(cli)["nested"]) == 3


def test_prune_removes_trees_with_their_files_and_counts_roots(cli: CommandLine) -> None:
    old = large(cli, "a", days_ago=3)
    (child,) = (each["runId"] for each in shown(cli, old)["nested"])
    new = large(cli, "b")
    before = files(cli, "b")
    assert files(cli, "a")[1] == before[1] == 2
    dry = cli("runs", "prune", "--older-than", "2d", "--dry-run")
    assert [line.split()[0] for line in dry.out.splitlines()] == [old]
    assert dry.err == "1 run would be deleted.\n"
    said = cli("runs", "prune", "--older-than", "2d", "--yes")
    assert said.err == "1 run deleted.\n"
    assert (files(cli, "a"), files(cli, "b")) == ((0, 0), before)
    assert cli("runs", "show", child).exit == 5
    assert [each["runId"] for each in cli.runs()] == [new]

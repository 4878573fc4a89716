"""
The Emacs package in a real Emacs, in batch, against the real server.

`journeys.el` and `journeys-actions.el` have what a person does; here are the folder, HOME and store that it happens in,
and what has to be true afterwards. Each journey has an Emacs of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.docs.documents import the_fence
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

pytestmark = [pytest.mark.editor, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "editors" / "emacs"
SOURCES = sorted(PACKAGE.glob("*.el"))

# What waits at the gate says so again and again: live output is not kept for a buffer that comes a moment later.
GATED = """
from sidestep import command, parallel, phase

WAIT = "while echo waiting at the gate; do sleep 0.05; done & passed=$(cat gate); kill $!; wait; echo $passed"

async def main():
    phase("approach")
    await parallel([command(["echo", "1"], id="first"), command(["echo", "2"], id="second")])
    phase("gate")
    passed = await command(["sh", "-c", WAIT], id="gate")
    return "All went through: " + passed["stdout"].split()[-1]
"""
ASKING = """
from sidestep import ask

async def main():
    ship = await ask("Ship it?", id="ship", choices=["yes", "no"])
    number = await ask("How many?", id="number", schema={"type": "integer"})
    return f"Shipped: {ship}, {number}"
"""
FAILING = """
from sidestep import command

async def main():
    await command(["echo", "1"], id="first")
    raise ValueError("not yet")
"""
GREETING = """
async def main(who: str):
    return f"Hello, {who}!"
"""
WRONG = """
from sidestep import command

async def main():
    await command(["ls"])
"""

# Debian's eglot stands where `emacs -Q` does not look; from Emacs 29 on it is part of Emacs.
START = """
(progn (require 'package)
       (add-to-list 'package-directory-list "/usr/share/emacs/site-lisp/elpa")
       (package-initialize)
       (setq load-prefer-newer t
             make-backup-files nil
             create-lockfiles nil))
"""


class Journeys:
    """One place where Emacs is run."""

    def __init__(self, place: Path) -> None:
        self.workspace = place / "shop"
        self.store = place / "state" / "sidestep.db"
        self.events = place / "events"
        repository = GitRepository(self.workspace)
        repository.commit("Ada", {"README.md": "# shop\n", "plain.py": "print(1)\n"})
        workflows = self.workspace / ".sidestep" / "workflows"
        workflows.mkdir(parents=True)
        scripts = {"gated": GATED, "asking": ASKING, "failing": FAILING, "greeting": GREETING, "wrong": WRONG}
        scripts["plain"] = "async def main():\n    return 'As plain as can be.'\n"
        for name, source in scripts.items():
            (workflows / f"{name}.py").write_text(source, encoding="utf-8")
        os.mkfifo(self.workspace / "gate")
        home = place / "home"
        home.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "server"), str(ROOT / "protocol")]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SIDESTEP_STORE": str(self.store),
            "JOURNEY_WORKSPACE": str(self.workspace),
            "JOURNEY_SERVER": "\n".join([sys.executable, "-m", "sidestep", "serve", "--stdio"]),
            "JOURNEY_EVENTS": str(self.events),
        }

    @contextmanager
    def emacs(self, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """An Emacs that has the package on its load path; killed when it has not ended with the block."""
        with subprocess.Popen(
            ["emacs", "-Q", "--batch", "--eval", START, "-L", str(PACKAGE), *arguments],
            env={**self.environ, **environ},
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def start(self, name: str, first: str = "nil", **environ: str) -> AbstractContextManager[subprocess.Popen[str]]:
        files = [str(Path(__file__).with_name(name)) for name in ("journeys.el", "journeys-actions.el")]
        run = f'(ert-run-tests-batch-and-exit "\\\\`{name}\\\\\'")'
        return self.emacs("--eval", first, "-l", files[0], "-l", files[1], "--eval", run, **environ)

    def go(self, name: str, first: str = "nil") -> list[str]:
        """What the journey said; it has to end well. `first` is evaluated before the package is loaded."""
        with self.start(name, first) as emacs:
            output, _ = emacs.communicate(timeout=50)
        assert emacs.returncode == 0, output
        assert "Ran 1 tests, 1 results as expected" in output, output
        return re.findall(r"^SAID (.*)$", output, re.MULTILINE)

    def journal(self, run_id: str) -> list[str]:
        """The sequence and type of each event of a run, from its journal."""
        command = [sys.executable, "-m", "sidestep", "runs", "events", run_id, "--json"]
        lines = subprocess.run(
            command, env=self.environ, cwd=self.workspace, capture_output=True, encoding="utf-8", check=True
        ).stdout.splitlines()
        return [f"{event['sequence']} {event['type']}" for event in map(json.loads, lines)]

    def processes(self) -> list[psutil.Process]:
        """What runs with this store in its environment, or is a step of a run of it."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("SIDESTEP_STORE") == str(self.store)
        except psutil.Error:
            return False


@pytest.fixture
def journeys(tmp_path: Path) -> Iterator[Journeys]:
    if shutil.which("emacs") is None:
        pytest.fail("there is no emacs; `make e2e-editors` installs it")
    place = Journeys(tmp_path)
    yield place
    # Whatever a test did: no server and no step outlives its Emacs.
    _, left = psutil.wait_procs(place.processes(), timeout=10)
    assert not left, left


def test_a_workflow_script_is_attached_and_diagnosed(journeys: Journeys):
    journeys.go("attach")


def test_code_actions_carry_runs_through(journeys: Journeys):
    journeys.go("code-actions")


def test_the_action_run_asks_for_arguments(journeys: Journeys):
    journeys.go("action-asks-for-arguments")


def test_the_actions_of_newer_eglots_are_carried_out(journeys: Journeys):
    stand_in = """(cl-defgeneric eglot-execute (server action) (:method (server action) "eglot's"))"""
    journeys.go("newer-eglot", first=stand_in)


def test_the_end_of_a_run_that_no_window_shows_is_told(journeys: Journeys):
    journeys.go("end-is-told")


def test_a_server_that_is_nowhere_is_told_with_what_to_do(journeys: Journeys):
    journeys.go("no-server")


def test_a_built_in_workflow_runs_to_its_report(journeys: Journeys):
    (run_id,) = journeys.go("run")
    assert journeys.journal(run_id)[-1].endswith(" status")


def test_nothing_runs_without_trust(journeys: Journeys):
    journeys.go("refused-trust")


def test_an_interrupted_run_is_resumed_with_its_steps_kept(journeys: Journeys):
    (run_id,) = journeys.go("interrupt-and-resume")
    assert _told(journeys) == journeys.journal(run_id)


def test_a_failed_script_is_mended_and_retried(journeys: Journeys):
    journeys.go("retry")


def test_questions_are_answered_now_and_later(journeys: Journeys):
    journeys.go("question")


def test_the_list_follows_runs(journeys: Journeys):
    journeys.go("list")


def test_the_buffer_of_a_run_survives_its_server_without_gap_or_duplicate(journeys: Journeys):
    (run_id,) = journeys.go("server-dies")
    assert _told(journeys) == journeys.journal(run_id)


def test_missing_events_are_asked_for_once(journeys: Journeys):
    (run_id,) = journeys.go("gap")
    assert _told(journeys) == journeys.journal(run_id)


def test_a_server_that_keeps_dying_is_asked_about(journeys: Journeys):
    journeys.go("server-keeps-dying")


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_no_server_outlives_emacs(journeys: Journeys, end: str):
    with journeys.start("stay", JOURNEY_END=end) as emacs:
        assert emacs.stdout is not None
        said = next(line for line in emacs.stdout if line.startswith("SAID server ")).split()
        server = psutil.Process(int(said[2]))
        assert journeys.processes()
        if end == "kill":
            emacs.kill()
        emacs.communicate(timeout=20)
    gone, left = psutil.wait_procs([server], timeout=10)
    assert gone
    assert not left


def test_what_is_asked_is_read_by_its_schema(journeys: Journeys):
    journeys.go("arguments")


def test_nulls_and_cut_messages_are_read(journeys: Journeys):
    journeys.go("wire")


def test_plain_eglot_shows_and_mends_problems_and_runs_scripts(journeys: Journeys, tmp_path: Path):
    """The three lines of the README, and nothing of the package."""
    init = tmp_path / "init.el"
    init.write_text(the_fence("editors/emacs/README.md", "elisp", "plain").body, encoding="utf-8")
    program = tmp_path / "bin" / "sidestep"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sidestep "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    path = f"{program.parent}{os.pathsep}{journeys.environ['PATH']}"
    plain = str(Path(__file__).with_name("plain.el"))
    with journeys.emacs("-l", plain, PATH=path, JOURNEY_INIT=str(init)) as emacs:
        output, _ = emacs.communicate(timeout=50)
    assert emacs.returncode == 0, output
    said = re.findall(r"^SAID (.*)$", output, re.MULTILINE)
    assert "needs an id" in said[0]
    assert any(action.startswith("action: ") and "id" in action for action in said[1:]), output
    untrusted, ended = said[-2:]
    assert untrusted.endswith(f"with: sidestep trust {journeys.workspace}")
    assert re.fullmatch(r"told: plain completed: As plain as can be\.\. See it with: sidestep runs show run_\w+", ended)


def test_the_package_compiles_without_a_warning(journeys: Journeys, tmp_path: Path):
    out = tmp_path / "compiled"
    out.mkdir()
    place = f'(lambda (file) (concat "{out}/" (file-name-nondirectory file) "c"))'
    strict = f"(setq byte-compile-error-on-warn t byte-compile-dest-file-function {place})"
    with journeys.emacs("--eval", strict, "-f", "batch-byte-compile", *map(str, SOURCES)) as emacs:
        output, _ = emacs.communicate(timeout=50)
    assert emacs.returncode == 0, output
    assert len(list(out.iterdir())) == len(SOURCES)


def test_the_package_is_documented_as_emacs_wants_it(journeys: Journeys):
    # The experimental check takes nouns such as "runs" for verbs.
    check = """(progn (require 'checkdoc) (setq checkdoc-verb-check-experimental-flag nil)
                      (dolist (file command-line-args-left) (checkdoc-file file))
                      (setq command-line-args-left nil))"""
    with journeys.emacs("--eval", check, *map(str, SOURCES)) as emacs:
        output, _ = emacs.communicate(timeout=50)
    assert emacs.returncode == 0, output
    assert output == ""


def _told(journeys: Journeys) -> list[str]:
    return journeys.events.read_text("utf-8").splitlines()

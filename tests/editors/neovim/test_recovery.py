"""The death of a server under a run that is on the screen: nothing twice, nothing missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.editors.neovim.test_runs import GATE, TRUSTING, begin, page_with
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from tests.editors.neovim.editor import Neovim, Project

pytestmark = [pytest.mark.editor, pytest.mark.slow]

# Writes down every event that the page takes.
NOTE_EVENTS = """
local picture = require("sidestep.picture")
taken = {}
local take = picture.take
picture.take = function(of, event)
  table.insert(taken, { sequence = event.sequence, type = event.type })
  take(of, event)
end
"""
READY = """
local session = require("sidestep").session(vim.fn.getcwd())
wait(function() return session.state == "ready" and session.generation == {generation} end, "server {generation}")
"""


def journal(project: Project, run_id: str) -> list[dict[str, Any]]:
    """The run's events as another server reads them from the store."""
    with RawClient.spawn(store=project.store) as client:
        workflow = {"protocolVersions": [1]}
        client.result("initialize", {"processId": None, "capabilities": {"experimental": {"workflow": workflow}}})
        client.notify("initialized")
        return client.result("workflow/events", {"runId": run_id})["events"]


def test_the_page_goes_on_after_sigkill_without_gap_or_duplicate(neovim: Neovim, project: Project) -> None:
    neovim.lua(NOTE_EVENTS)
    begin(neovim, project, "gate", GATE, "count=20")
    page_with(neovim, "      waiting")
    (server,) = neovim.servers()
    server.kill()
    neovim.lua(READY.format(generation=2))
    (project.folder / "go").touch()
    lines = page_with(neovim, "gate  completed")
    assert sum(line.endswith("  kept") for line in lines) == 20
    run_id = lines[0].split()[-1]
    told = [{"sequence": event["sequence"], "type": event["type"]} for event in journal(project, run_id)]
    assert neovim.lua("return taken") == told
    # A page that is filled from the journal alone is the same.
    neovim.lua("vim.cmd('bwipeout!') vim.cmd('Sidestep show')")
    assert page_with(neovim, "gate  completed") == lines


def test_a_start_that_the_server_did_not_live_to_answer_is_one_run(neovim: Neovim, project: Project) -> None:
    """It is sent to the next server under the same start key (S7)."""
    (project.folder / "go").touch()
    neovim.open(project.script("gate", GATE))
    neovim.lua(READY.format(generation=1) + "session.trusted = { vim.uri_from_fname(session.root) }")
    (server,) = neovim.servers()
    # Held still as the start is sent, the server gets it and never reads it.
    neovim.lua(f"""
        local session = require("sidestep").session(vim.fn.getcwd())
        local send = session._send
        session._send = function(self, request)
          if request.method == "workflow/start" then
            self._send = send
            vim.loop.kill({server.pid}, "sigstop")
          end
          send(self, request)
        end
        vim.cmd('Sidestep run gate')
        wait(function()
          for _, request in pairs(session.pending) do
            if request.method == "workflow/start" then
              return true
            end
          end
        end, "the start in flight")
    """)
    server.kill()
    page_with(neovim, "gate  completed")
    runs = neovim.lua("""
        local found
        local session = require("sidestep").session(vim.fn.getcwd())
        require("sidestep.runs").list(session, {}, function(runs) found = runs end)
        return #wait(function() return found end)
    """)
    assert runs == 1


def test_after_five_deaths_in_a_row_the_person_is_asked(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("gate", GATE))
    for generation in range(1, 7):
        neovim.lua(READY.format(generation=generation))
        (server,) = neovim.servers()
        server.kill()
        server.wait(timeout=10)
    question = neovim.lua("return wait(function() return asked[1] end, 'the question')")
    assert "has died 6 times in a row; its runs are kept" in question["prompt"]
    assert question["choices"] == ["Start it again", "Leave it"]
    assert neovim.servers() == []
    assert neovim.lua("return require('sidestep').statusline()") == "sidestep down"
    # Whoever uses the command wants it.
    neovim.lua(f"{TRUSTING} vim.cmd('Sidestep run gate')")
    page_with(neovim, "      waiting")


def test_a_run_of_another_window_is_followed(neovim: Neovim, project: Project) -> None:
    """Started by another server on the store, shown here as it goes."""
    project.script("gate", GATE)
    with RawClient.spawn(store=project.store, cwd=project.folder) as other:
        folder = project.folder.as_uri()
        options = {"trust": {"folders": [folder]}}
        workflow = {"protocolVersions": [1]}
        hello = {"processId": None, "capabilities": {"experimental": {"workflow": workflow}}}
        hello |= {"workspaceFolders": [{"uri": folder, "name": "p"}], "initializationOptions": options}
        other.result("initialize", hello)
        other.notify("initialized")
        other.result("workflow/start", {"script": {"name": "gate"}, "mode": "background"})
        neovim.lua("vim.cmd('Sidestep show')")
        page_with(neovim, "  ● The gate (gate)")
        (project.folder / "go").touch()
        assert page_with(neovim, "gate  completed")[-1] == "All done."

"""Finding the server, attaching to workflow scripts, and leaving nothing behind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.editors.neovim.editor import PLUGIN, Project, executable, words_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.editors.neovim.editor import Neovim

pytestmark = [pytest.mark.editor, pytest.mark.slow]

WRONG = "from sidestep import command\n\nasync def main():\n    await command(['ls'])\n"
# Newer editors keep the same under another name, and say that this one will go.
CLIENTS = """
local clients = vim.lsp.get_clients or vim.lsp.get_active_clients
local names = function(bufnr)
  local found = {}
  for _, client in ipairs(clients()) do
    if vim.lsp.buf_is_attached(bufnr, client.id) then
      table.insert(found, client.name)
    end
  end
  return found
end
"""
# Neovim's own code action, and whoever chooses the first of what is offered; all that was asked and told.
PLAIN_RUN = """
local asked = {}
vim.fn.inputlist = function(texts)
  vim.list_extend(asked, texts)
  return 1
end
vim.ui.select = function(items, options, on_choice)
  table.insert(asked, options.prompt)
  vim.schedule(function() on_choice(items[1], 1) end)
end
wait(function() return #names(0) == 1 end, "the server")
vim.lsp.buf.code_action()
return wait(function()
  local all = table.concat(asked, "\\n") .. vim.fn.execute("messages") .. table.concat(said, "\\n")
  return all:find("plain completed", 1, true) and all
end, "the end of the run")
"""

README = (PLUGIN / "README.md").read_text(encoding="utf-8")


def diagnostics(neovim: Neovim) -> list[str]:
    """The messages at the buffer that is open, once there are any."""
    return neovim.lua("""
        wait(function() return #vim.diagnostic.get(0) > 0 end, "a diagnostic")
        return vim.tbl_map(function(each) return each.message end, vim.diagnostic.get(0))
    """)


def test_a_workflow_script_gets_diagnostics_as_it_is_typed(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("wrong", WRONG))
    assert diagnostics(neovim) == ['command() needs an id, which names the step in the journal, e.g. id="ls"']
    neovim.lua("""
        vim.api.nvim_buf_set_lines(0, 3, 4, false, { "    await command(['ls'], id='ls')" })
        wait(function() return #vim.diagnostic.get(0) == 0 end, "the end of the diagnostic")
    """)


def test_other_python_files_are_left_alone(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("wrong", WRONG))
    diagnostics(neovim)
    other = project.folder / "other.py"
    other.write_text(WRONG)
    neovim.open(other)
    assert neovim.lua(CLIENTS + "return #names(0)") == 0


def test_a_workspace_has_one_server_and_each_workspace_its_own(neovim: Neovim, project: Project) -> None:
    for name in ("one", "two"):
        neovim.open(project.script(name, WRONG))
        diagnostics(neovim)
    assert len(neovim.servers()) == 1
    other = Project(project.place / "elsewhere")
    other.install()
    neovim.open(other.script("three", WRONG))
    diagnostics(neovim)
    assert len(neovim.servers()) == 2


def test_the_setting_goes_before_the_projects_own_server(neovim: Neovim, project: Project, tmp_path: Path) -> None:
    mine = executable(
        tmp_path / "mine", f"#!/bin/sh\necho used > '{tmp_path}/used'\nexec '{project.install()}' \"$@\"\n"
    )
    neovim.lua(f"require('sidestep').setup({{ cmd = '{mine}' }})")
    neovim.open(project.script("wrong", WRONG))
    diagnostics(neovim)
    assert (tmp_path / "used").exists()


def test_the_path_is_looked_through_last(start: Callable[..., Neovim], project: Project, tmp_path: Path) -> None:
    moved = executable(tmp_path / "bin" / "sidestep", project.install().read_text())
    (project.folder / ".venv" / "bin" / "sidestep").unlink()
    neovim = start({"PATH": f"{moved.parent}:/usr/bin:/bin"})
    neovim.open(project.script("wrong", WRONG))
    assert diagnostics(neovim)


def test_a_missing_server_is_told_with_what_to_do(start: Callable[..., Neovim], project: Project) -> None:
    (project.folder / ".venv" / "bin" / "sidestep").unlink()
    neovim = start({"PATH": "/usr/bin:/bin"})
    neovim.open(project.script("wrong", WRONG))
    (told,) = neovim.lua("return said")
    assert f"there is no {project.folder}/.venv/bin/sidestep, and no `sidestep` on PATH" in told
    assert "require('sidestep').setup({ cmd = '/path/to/sidestep' })" in told
    # Once for a workspace, and again for whoever uses the command.
    neovim.open(project.script("other", WRONG))
    assert neovim.lua("return #said") == 1
    assert neovim.lua("vim.cmd('Sidestep list') return said[2]") == told


def test_a_setting_that_leads_nowhere_is_told(neovim: Neovim, project: Project) -> None:
    neovim.lua("require('sidestep').setup({ cmd = '/nowhere/sidestep', colour = 'red' })")
    neovim.open(project.script("wrong", WRONG))
    unknown, missing = neovim.lua("return said")
    assert "no setting `colour`" in unknown
    assert "`cmd` names /nowhere/sidestep, which cannot be executed" in missing


def test_a_server_that_ends_at_once_is_told_and_not_started_for_ever(neovim: Neovim, project: Project) -> None:
    executable(project.folder / ".venv" / "bin" / "sidestep", "#!/bin/sh\nexit 3\n")
    neovim.open(project.script("wrong", WRONG))
    told = neovim.lua("""
        local function ended(text)
          return text:find("ended before it was ready")
        end
        return wait(function() return vim.tbl_filter(ended, said)[1] end)
    """)
    assert "exit code 3" in told
    assert ":Sidestep log" in told
    assert neovim.servers() == []


def test_quitting_leaves_no_server_behind(neovim: Neovim, project: Project) -> None:
    """Also while a run is at work: the end of its input tells the server (W18)."""
    command = "command(['sh', '-c', 'while echo up; do sleep 0.05; done & exec sleep 600'], id='s')"
    source = f"from sidestep import command\nasync def main():\n    await {command}\n"
    neovim.open(project.script("wait", source))
    neovim.lua("choose = function() return 1 end vim.cmd('Sidestep run wait') wait_for_page('      up')")
    family = neovim.family()
    # Of the shell, or already of what it becomes.
    assert any("sleep 600" in " ".join(words_of(process)) for process in family)
    neovim.quit()
    _, left = psutil.wait_procs(family, timeout=15)
    assert left == []


def test_the_server_that_was_told_to_end_is_started_by_the_next_command(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("wrong", WRONG))
    diagnostics(neovim)
    (old,) = neovim.servers()
    neovim.lua("""
        vim.cmd('Sidestep restart')
        local session = require('sidestep').session(vim.fn.getcwd())
        wait(function() return session.generation == 2 and session.state == 'ready' end, 'another server')
    """)
    psutil.wait_procs([old], timeout=15)
    (new,) = neovim.servers()
    assert new.pid != old.pid
    neovim.lua("vim.diagnostic.reset() vim.api.nvim_buf_set_lines(0, 0, 0, false, { '' })")
    assert diagnostics(neovim)


@pytest.mark.parametrize("words", ["lua lsp-client", "lua lsp-config"])
def test_three_lines_without_the_plugin_attach_too(
    words: str, start: Callable[..., Neovim], project: Project, tmp_path: Path
) -> None:
    """The README's lines for a Neovim of their age."""
    (snippet,) = re.findall(rf"^```{words}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    moved = executable(tmp_path / "bin" / "sidestep", project.install().read_text())
    neovim = start({"PATH": f"{moved.parent}:/usr/bin:/bin"})
    is_newer = neovim.lua("return vim.fn.has('nvim-0.11') == 1")
    if is_newer != (words == "lua lsp-config"):
        pytest.skip("for another Neovim")
    neovim.lua(f"vim.api.nvim_del_augroup_by_name('sidestep')\nvim.cmd('filetype on')\n{snippet}")
    neovim.open(project.script("wrong", WRONG))
    assert diagnostics(neovim)
    neovim.open(project.script("plain", "async def main():\n    return 'As plain as can be.'\n"))
    told = neovim.lua(CLIENTS + PLAIN_RUN)
    assert f"{project.folder} is not trusted" in told
    assert "plain completed: As plain as can be." in told


def test_a_store_that_cannot_be_used_is_told(start: Callable[..., Neovim], project: Project, tmp_path: Path) -> None:
    """Static features work all the same."""
    (tmp_path / "blocked").write_text("no folder")
    neovim = start({"SIDESTEP_STORE": str(tmp_path / "blocked" / "store.sqlite")})
    neovim.open(project.script("wrong", WRONG))
    assert diagnostics(neovim)
    told = neovim.lua("vim.cmd('Sidestep list') return wait(function() return said[1] end)")
    assert "blocked" in told

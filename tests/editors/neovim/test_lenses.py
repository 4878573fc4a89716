"""Code lenses of the real server in the real editor: what they show, and the pages that they open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.editors.neovim.test_runs import GATE, begin, page_with

if TYPE_CHECKING:
    from tests.editors.neovim.editor import Neovim, Project

pytestmark = [pytest.mark.editor, pytest.mark.slow]

# The lenses as they stand on the screen, in the line of `main`; and a person who chooses one of them by its first word.
LENSES = """
function shown()
  local line = vim.fn.search("^async def main", "cnw") - 1
  for name, space in pairs(vim.api.nvim_get_namespaces()) do
    if name:find("codelens", 1, true) then
      for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, { line, 0 }, { line, -1 }, { details = true })) do
        return table.concat(vim.tbl_map(function(chunk) return chunk[1] end, mark[4].virt_text))
      end
    end
  end
  return ""
end
function lens(wanted)
  return wait(function() local text = shown() return text:find(wanted, 1, true) and text end, "a lens " .. wanted)
end
function run(wanted)
  lens(wanted)
  choose = function(texts, prompt)
    for index, text in ipairs(texts) do
      if vim.startswith(text, wanted) or (prompt:find("Trust the folder") and index == 1) then
        return index
      end
    end
  end
  vim.fn.cursor(vim.fn.search("^async def main", "cnw"), 1)
  vim.lsp.codelens.run()
end
function back() vim.cmd("wincmd p") end
"""


def page_ids(lines: list[str]) -> str:
    return lines[0].split()[-1]


def test_the_lenses_on_main_run_interrupt_resume_and_show(neovim: Neovim, project: Project) -> None:
    """Each opens the page of the run that the server answers, and a lens that was carried out is there again."""
    neovim.open(project.script("gate", GATE))
    assert neovim.lua(LENSES + "return lens('Run')") == "Run"
    neovim.lua("run('Run')")
    run_id = page_ids(page_with(neovim, "      waiting"))
    assert neovim.lua("back() return lens('Interrupt')").startswith("Interrupt | Last run: ")
    neovim.lua("run('Interrupt')")
    page_with(neovim, "gate  interrupted")
    assert neovim.lua("back() return lens('Resume')").startswith("Resume (3 of 4 steps kept) | Run | Last run: inter")
    # The buffer that is wiped out is filled again by the lens.
    neovim.lua("vim.cmd('wincmd p | bwipeout!') run('Last run')")
    assert page_ids(page_with(neovim, "gate  interrupted")) == run_id
    (project.folder / "go").touch()
    neovim.lua("back() run('Resume')")
    lines = page_with(neovim, "gate  completed")
    assert page_ids(lines) == run_id
    assert sum(line.endswith("  kept") for line in lines) == 3
    assert neovim.lua("back() return lens('completed')") == "Run | Last run: completed: Through"
    neovim.lua("run('Last run')")
    assert neovim.lua("back() return lens('completed')") == "Run | Last run: completed: Through"
    # The page told the ends; of the reports nothing opened beside it.
    assert neovim.lua("return said") == []


def test_the_lens_of_a_failed_run_retries_it_also_with_the_edited_script(neovim: Neovim, project: Project) -> None:
    source = """\
from sidestep import command

async def main():
    await command(["echo", "paid"], id="paid")
    await command(["test", "-e", "go"], id="go", check=True)
    return "mended"
"""
    begin(neovim, project, "fails", source)
    run_id = page_ids(page_with(neovim, "fails  failed"))
    neovim.lua(LENSES + "back() run('Retry (1 of 2 steps kept)')")
    neovim.lua("wait(function() return select(2, page_text():gsub('goes on %(retry%)', '')) == 1 end, 'the retry')")
    page_with(neovim, "fails  failed")
    neovim.lua("back() vim.cmd('%s/mended/edited/ | write')")
    (project.folder / "go").touch()
    neovim.lua("run('Continue with the edited script')")
    lines = page_with(neovim, "fails  completed")
    assert page_ids(lines) == run_id
    assert lines[-1] == "edited"


def test_a_lens_that_was_dismissed_stays(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("hello", "async def main(who: str):\n    return f'Hello {who}'\n"))
    neovim.lua(LENSES)
    # Twice: the first may still be drawn by the refreshes of the beginning.
    for times in (1, 2):
        neovim.lua(f"run('Run') wait(function() return said[{times}] == 'Nothing was started.' end)")
        assert neovim.lua("return lens('Run')") == "Run"


def test_unsaved_changes_are_told(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("hello", "async def main():\n    return 'saved'\n"))
    neovim.lua(LENSES + "vim.cmd('%s/saved/typed/') run('Run')")
    assert page_with(neovim, "hello  completed")[-1] == "saved"
    assert neovim.lua("return said") == ["hello has unsaved changes: what runs is the file as it was saved."]


@pytest.mark.parametrize("closing", ["bdelete", "close"])
def test_the_end_of_a_run_whose_page_is_closed_is_told_once(neovim: Neovim, project: Project, closing: str) -> None:
    begin(neovim, project, "gate", GATE)
    run_id = page_ids(page_with(neovim, "      waiting"))
    neovim.lua(f"vim.cmd('{closing}')")
    (project.folder / "go").touch()
    neovim.lua("wait(function() return said[1] end, 'the end')")
    assert neovim.lua("return said") == [f"gate completed  (:Sidestep show {run_id})"]
    neovim.lua("vim.cmd(said[1]:match('%((:Sidestep show .*)%)'))")
    assert page_with(neovim, "gate  completed")[-1] == "All done."
    # Nothing more was told while the page was filled, nor does the next server tell it.
    neovim.lua("""
        vim.cmd("bwipeout! | Sidestep restart")
        local session = require("sidestep").session(vim.fn.getcwd())
        wait(function() return session.generation == 2 and session.state == "ready" end, "another server")
    """)
    page_with_again = "vim.cmd('Sidestep show') return wait_for_page('gate  completed') and #said"
    assert neovim.lua(page_with_again) == 1


def test_the_failure_of_a_run_whose_page_is_closed_says_why(neovim: Neovim, project: Project) -> None:
    source = GATE.replace('return "# Through', 'raise ValueError("no way") #')
    begin(neovim, project, "gate", source)
    run_id = page_ids(page_with(neovim, "      waiting"))
    neovim.lua("vim.cmd('bdelete')")
    (project.folder / "go").touch()
    told = neovim.lua("return wait(function() return said[1] end, 'the end')")
    assert told.startswith("gate failed: ")
    assert "no way" in told
    assert told.endswith(f"  (:Sidestep show {run_id})")

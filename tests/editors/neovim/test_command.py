"""The words of `:Sidestep`: completion, arguments by their types, and what is said of mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.editors.neovim.editor import Neovim, Project

pytestmark = [pytest.mark.editor, pytest.mark.slow]

TYPED = """\
from typing import Literal

async def main(
    text: str, count: int, share: float, loud: bool, level: Literal["low", "high"], names: list[str],
    numbers: list[int], table: dict[str, int], maybe: int | None = 3,
):
    return [text, count, share, loud, level, names, numbers, table, maybe]
"""
GIVEN = (
    r"text=a\ b count=7 share=0.5 loud=yes level=high names=x names=y numbers:=[1,2] "
    r"""table={"k":1} maybe=none"""
)


def completion(neovim: Neovim, line: str) -> list[str]:
    return neovim.lua(f"return vim.fn.getcompletion('{line}', 'cmdline')")


def when_it_answers(neovim: Neovim) -> None:
    """Completion waits only so long for a server that has just been started."""
    neovim.lua("wait(function() return #vim.fn.getcompletion('Sidestep run ', 'cmdline') > 0 end, 'the server')")


def trusting(neovim: Neovim, chunk: str) -> Any:
    return neovim.lua(f"choose = function(_, prompt) return prompt:find('Trust the folder') and 1 or 2 end {chunk}")


def test_words_scripts_arguments_and_their_values_are_completed(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("typed", TYPED))
    assert completion(neovim, "Sidestep r") == ["restart", "resume", "retry", "run"]
    when_it_answers(neovim)
    assert completion(neovim, "Sidestep run ty") == ["typed"]
    assert "repo-report" in completion(neovim, "Sidestep run ")
    assert completion(neovim, "Sidestep run typed n") == ["names=", "numbers="]
    assert completion(neovim, "Sidestep run typed level=") == ["level=low", "level=high"]
    assert completion(neovim, "Sidestep run typed text=a loud=t") == ["loud=true"]
    assert completion(neovim, "Sidestep run nothing x") == []


def test_runs_are_completed_by_what_can_be_done_with_them(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("fails", "async def main():\n    return {}['x']\n"))
    trusting(neovim, "vim.cmd('Sidestep run fails') wait_for_page('fails  failed')")
    (run,) = completion(neovim, "Sidestep retry ")
    assert run.startswith("run_")
    assert completion(neovim, "Sidestep show run_") == [run]
    assert completion(neovim, "Sidestep interrupt ") == []
    assert completion(neovim, "Sidestep resume ") == []


def test_arguments_are_typed_by_the_scripts_signature(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("typed", TYPED))
    page = trusting(neovim, f"vim.cmd([[Sidestep run typed {GIVEN}]]) return wait_for_page('typed  completed')")
    data = '["a b",7,0.5,true,"high",["x","y"],[1,2],{"k":1},null]'
    assert page.splitlines()[-1].replace(" ", "") == data.replace(" ", "")


def test_a_script_is_run_by_its_buffer_and_asks_for_what_is_missing(neovim: Neovim, project: Project) -> None:
    neovim.open(
        project.script(
            "two",
            'from typing import Literal\nasync def main(who: str, level: Literal["a", "b"]):\n    return who + level\n',
        )
    )
    page = trusting(
        neovim, "type_in = function() return 'me' end vim.cmd('Sidestep run') return wait_for_page('two  completed')"
    )
    assert page.splitlines()[-1] == "meb"
    assert [each["prompt"] for each in neovim.lua("return asked")][:2] == ["who: ", "level"]


def test_wrong_arguments_are_told_and_nothing_is_run(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("typed", TYPED))
    told = neovim.lua(
        "vim.cmd('Sidestep run typed count=many loud=perhaps stray') return wait(function() return said[1] end)"
    )
    assert told.splitlines() == [
        "count: expected a whole number, got `many`",
        "loud: expected true or false, got `perhaps`",
        "`stray` is not of the form key=value, key:=JSON or key=@FILE",
    ]


def test_an_unknown_argument_and_an_unknown_script_are_told_by_the_server(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("hello", "async def main(times: int = 1):\n    return 1\n"))
    told = trusting(neovim, "vim.cmd('Sidestep run hello tmies=2') return wait(function() return said[1] end)")
    assert "unknown argument. Did you mean 'times'?" in told
    told = trusting(neovim, "vim.cmd('Sidestep run helo') return wait(function() return said[2] end)")
    assert "hello" in told


def test_a_script_with_errors_names_the_line(neovim: Neovim, project: Project) -> None:
    neovim.open(
        project.script("wrong", "from sidestep import command\n\nasync def main():\n    await command(['ls'])\n")
    )
    told = trusting(neovim, "vim.cmd('Sidestep run wrong') return wait(function() return said[1] end)")
    assert "wrong.py:4: command() needs an id" in told


def test_an_unknown_word_is_told_with_the_known_ones(neovim: Neovim) -> None:
    told = neovim.lua("vim.cmd('Sidestep fly') return said[1]")
    assert told.startswith(":Sidestep knows no `fly`; it knows answer, interrupt, list")


def test_the_log_opens(neovim: Neovim) -> None:
    assert neovim.lua("vim.cmd('Sidestep log') return vim.api.nvim_buf_get_name(0)").endswith("lsp.log")


def test_the_help_file_has_every_word_setting_and_group(neovim: Neovim) -> None:
    missing = neovim.lua("""
        local text = table.concat(vim.fn.readfile(vim.env.SIDESTEP_PLUGIN .. "/doc/sidestep.txt"), "\\n")
        local wanted = { "*sidestep-cmd*", "*sidestep-cmd_env*" }
        for _, word in ipairs(vim.fn.getcompletion("Sidestep ", "cmdline")) do
          table.insert(wanted, "*:Sidestep-" .. word .. "*")
        end
        for name in pairs(require("sidestep.settings").values) do
          table.insert(wanted, "*sidestep-" .. name .. "*")
        end
        require("sidestep.render").define_groups()
        vim.list_extend(wanted, vim.fn.getcompletion("Sidestep", "highlight"))
        return vim.tbl_filter(function(each) return not text:find(each, 1, true) end, wanted)
    """)
    assert missing == []

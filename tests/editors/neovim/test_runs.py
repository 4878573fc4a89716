"""Runs from Neovim: started, followed, interrupted, gone on with, asked and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from tests.editors.neovim.editor import Neovim, Project

pytestmark = [pytest.mark.editor, pytest.mark.slow]

# Ends as soon as the file `go` is there. Meanwhile it prints a character that no line shows, again and again:
# live output is not kept for a page that begins to follow the run a moment later.
GATE = """\
from sidestep import command, log, phase

async def main(count: int = 3):
    phase("before")
    for n in range(count):
        await command(["echo", f"said {n}"], id=f"echo:{n}")
        log(f"line {n}")
    phase("gate", kind="file")
    wait = "until [ -e go ]; do printf 'waiting\\\\000\\\\n'; sleep 0.05; done"
    await command(["sh", "-c", wait], id="gate", title="The gate")
    return "# Through\\n\\nAll done."
"""
ASKS = """\
from sidestep import ask

async def main():
    colour = await ask("Which colour?", id="colour", choices=["red", "blue"])
    name = await ask("Which name?", id="name")
    count = await ask("How many?", id="count", schema={"type": "integer", "minimum": 1})
    return f"{count} {colour} {name}"
"""
TRUSTING = "choose = function(texts, prompt) return prompt:find('Trust the folder') and 1 or nil end "


def begin(neovim: Neovim, project: Project, name: str, source: str, words: str = "") -> None:
    """Open a script, trust its folder and run it."""
    neovim.open(project.script(name, source))
    neovim.lua(f"{TRUSTING} vim.cmd('Sidestep run {name} {words}') wait_for_page('{name}  ')")


def page_with(neovim: Neovim, text: str) -> list[str]:
    return neovim.lua(f"return wait_for_page({text!r})").splitlines()


def wait_for_status_line(neovim: Neovim, text: str) -> None:
    """It is told by another message than what the page shows."""
    neovim.lua(f"wait(function() return require('sidestep').statusline() == '{text}' end, 'the status line')")


def test_repo_report_runs_to_its_end_in_the_run_buffer(neovim: Neovim, project: Project) -> None:
    repository = GitRepository(project.folder)
    for name in ("a.py", "b.py"):
        repository.commit("Ann", {name: "print(1)  # TODO tidy\n" * 5})
    neovim.lua(f"{TRUSTING} vim.cmd('Sidestep run repo-report commits=10')")
    lines = page_with(neovim, "repo-report  completed")
    assert "0 running" not in lines[1]
    assert " steps, " in lines[1]
    report = lines[lines.index("Report") :]
    assert any("a.py" in line for line in report)
    assert any(line.startswith("  ✓ ") and line.rstrip().endswith("ms") for line in lines)
    wait_for_status_line(neovim, "✓ repo-report completed")
    # Nothing to complain of, nor anything that Neovim calls deprecated.
    assert neovim.lua("return said") == []


def test_the_page_follows_phases_steps_logs_and_live_output(neovim: Neovim, project: Project) -> None:
    begin(neovim, project, "gate", GATE)
    # What the running step prints stands below it.
    lines = page_with(neovim, "      waiting")
    assert lines[0].startswith("gate  running  run_")
    for wanted in ("before", "    line 2", "gate (kind=file)"):
        assert wanted in lines
    assert next(line for line in lines if "The gate (gate)" in line).startswith("  ● ")
    groups = neovim.lua("""
        local _, bufnr = page_text()
        local space = vim.api.nvim_get_namespaces().sidestep
        local found = {}
        for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(bufnr, space, 0, -1, { details = true })) do
          found[mark[4].hl_group] = vim.fn.synIDattr(vim.fn.synIDtrans(vim.fn.hlID(mark[4].hl_group)), "name")
        end
        return found
    """)
    assert groups["SidestepPhase"] == "Statement"
    # Each leads to one that every colour scheme has.
    assert {"SidestepTitle", "SidestepPhase", "SidestepCompleted", "SidestepRunning", "SidestepOutput"} <= groups.keys()
    assert not any(target.startswith("Sidestep") for target in groups.values())
    assert neovim.lua("return require('sidestep').statusline()").startswith("● gate")
    (project.folder / "go").touch()
    lines = page_with(neovim, "gate  completed")
    assert lines[-4:] == ["Report", "# Through", "", "All done."]
    assert lines[1].startswith("4 steps, 4 completed")


def test_interrupt_and_resume_by_keys_keep_the_finished_steps(neovim: Neovim, project: Project) -> None:
    begin(neovim, project, "gate", GATE)
    page_with(neovim, "      waiting")
    neovim.lua("vim.api.nvim_feedkeys('i', 'x', false)")
    lines = page_with(neovim, "gate  interrupted (user)")
    assert any(line.startswith("  ‖ The gate (gate)") for line in lines)
    (project.folder / "go").touch()
    neovim.lua("vim.api.nvim_feedkeys('r', 'x', false)")
    lines = page_with(neovim, "gate  completed")
    assert any("goes on (resume): 3 of 4 steps kept" in line for line in lines)
    assert sum(line.endswith("  kept") for line in lines) == 3
    # Done once, and shown once.
    assert lines.count("    line 1") == 1


def test_interrupt_and_resume_by_the_command_choose_the_only_run(neovim: Neovim, project: Project) -> None:
    begin(neovim, project, "gate", GATE)
    page_with(neovim, "      waiting")
    neovim.lua("vim.cmd('wincmd p') vim.cmd('Sidestep interrupt')")
    page_with(neovim, "gate  interrupted (user)")
    wait_for_status_line(neovim, "‖ gate interrupted")
    (project.folder / "go").touch()
    neovim.lua("vim.cmd('wincmd p') vim.cmd('Sidestep resume')")
    page_with(neovim, "gate  completed")


def test_a_failed_run_is_retried_with_the_script_as_it_is_now(neovim: Neovim, project: Project) -> None:
    source = "from sidestep import command\nasync def main():\n    await command(['echo', 'paid'], id='paid')\n    {}\n"
    begin(neovim, project, "fails", source.format("return {}['missing']"))
    lines = page_with(neovim, "fails  failed")
    assert "  at .sidestep/workflows/fails.py:4" in lines
    project.script("fails", source.format("return 'mended'"))
    neovim.lua("choose = function(texts) return texts[1]:find('as it is now') and 1 or nil end")
    neovim.lua("vim.api.nvim_feedkeys('r', 'x', false)")
    lines = page_with(neovim, "fails  completed")
    assert any("  ✓ paid" in line and line.endswith("  kept") for line in lines)
    assert lines[-1] == "mended"


def test_questions_are_asked_one_after_the_other_and_answered_by_their_kind(neovim: Neovim, project: Project) -> None:
    """A choice, a text, and a number that first does not fit (P7)."""
    neovim.open(project.script("asks", ASKS))
    neovim.lua("""
        choose = function(texts, prompt) return prompt:find('Trust the folder') and 1 or 2 end
        local numbers = { "many", "0", "7" }
        type_in = function(prompt)
          return prompt:find("Which name") and "Mary Ann" or table.remove(numbers, 1)
        end
        vim.cmd('Sidestep run asks')
    """)
    lines = page_with(neovim, "asks  completed")
    assert lines[-1] == "7 blue Mary Ann"
    assert any(line.startswith("  ? Which colour?  answered by Neovim: blue") for line in lines)
    asked = neovim.lua("return asked")
    assert asked[1] == {"prompt": "Which colour?", "choices": ["red", "blue"]}
    prompts = [each["prompt"] for each in asked[2:]]
    assert prompts == [
        "Which name?: ",
        "How many? (a whole number): ",
        "How many? [expected a whole number, got `many`] (a whole number): ",
        "How many? (a whole number): ",
    ]


def test_a_question_left_open_is_answered_by_the_command(neovim: Neovim, project: Project) -> None:
    begin(
        neovim,
        project,
        "asks",
        ASKS.replace('name = await ask("Which name?", id="name")', "name = count = 1; return colour"),
    )
    neovim.lua("wait(function() return vim.tbl_contains(said, 'The question stays open: :Sidestep answer') end)")
    neovim.lua("choose = function() return 1 end vim.cmd('wincmd p') vim.cmd('Sidestep answer')")
    assert page_with(neovim, "asks  completed")[-1] == "red"


def test_an_untrusted_folder_is_asked_about_and_left_alone(neovim: Neovim, project: Project) -> None:
    neovim.open(project.script("gate", GATE))
    neovim.lua("""
        choose = function() return 3 end
        vim.cmd('Sidestep run gate')
        wait(function() return vim.tbl_contains(said, 'Not trusted: nothing was run.') end)
    """)
    ((question),) = neovim.lua("return asked")
    assert str(project.folder) in question["prompt"]
    neovim.lua("vim.cmd('Sidestep list') wait(function() return said[2] end)")
    assert neovim.lua("return said[2]") == "There are no runs yet: :Sidestep run"


def test_enter_shows_what_a_step_gave(neovim: Neovim, project: Project) -> None:
    (project.folder / "go").touch()
    begin(neovim, project, "gate", GATE)
    page_with(neovim, "gate  completed")
    shown = neovim.lua("""
        vim.fn.search("echo:1")
        vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes("<CR>", true, true, true), "x", false)
        wait(function() return vim.api.nvim_buf_get_name(0):find("sidestep://output/") end, "the output")
        return vim.api.nvim_buf_get_lines(0, 0, -1, false)
    """)
    assert shown == ["said 1", "", "--- exit code 0"]


def test_a_nested_run_opens_from_its_step(neovim: Neovim, project: Project) -> None:
    project.script("child", "async def main(name: str):\n    return f'child of {name}'\n")
    source = (
        "from sidestep import workflow\nasync def main():\n    await workflow('child', id='c', args={'name': 'me'})\n"
    )
    begin(neovim, project, "parent", source)
    lines = page_with(neovim, "parent  completed")
    assert any("-> child" in line for line in lines)
    neovim.lua("""
        vim.fn.search("-> child")
        vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes("<CR>", true, true, true), "x", false)
        wait(function()
          return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\\n"):find("child of me", 1, true)
        end, "the child's report")
    """)


def test_q_closes_the_page_and_the_run_goes_on(neovim: Neovim, project: Project) -> None:
    begin(neovim, project, "gate", GATE)
    page_with(neovim, "      waiting")
    neovim.lua("vim.api.nvim_feedkeys('q', 'x', false) assert(not page_text())")
    # Nobody listens to the run's events any more.
    assert neovim.lua("return #require('sidestep').session(vim.fn.getcwd()).listeners.events") == 0
    (project.folder / "go").touch()
    wait_for_status_line(neovim, "✓ gate completed")
    neovim.lua("vim.cmd('Sidestep show')")
    assert page_with(neovim, "gate  completed")[-1] == "All done."


def test_a_page_is_reached_by_its_name(neovim: Neovim, project: Project) -> None:
    (project.folder / "go").touch()
    begin(neovim, project, "gate", GATE)
    page_with(neovim, "gate  completed")
    neovim.lua("""
        local name = vim.api.nvim_buf_get_name(0)
        vim.cmd("bwipeout!")
        vim.cmd("edit " .. name)
    """)
    assert page_with(neovim, "gate  completed")[-1] == "All done."


def test_a_permission_is_asked_for_and_given(neovim: Neovim, project: Project) -> None:
    """What a command may do is asked as every question is (policy `ask`)."""
    neovim.lua("require('sidestep').setup({ initialization_options = { permissionPolicy = 'ask' } })")
    step = "await command(['echo', 'may'], id='e')"
    source = f"from sidestep import command\nasync def main():\n    return ({step})['stdout']\n"
    neovim.open(project.script("permits", source))
    neovim.lua("choose = function() return 1 end vim.cmd('Sidestep run permits')")
    assert page_with(neovim, "permits  completed")[-1] == "may"
    asked = [each["prompt"] for each in neovim.lua("return asked")]
    assert any("echo" in prompt for prompt in asked[1:])


def test_a_question_waits_until_nobody_types(neovim: Neovim, project: Project) -> None:
    """A prompt would take the next keys for its answer."""
    source = (
        "from sidestep import ask\nasync def main():\n    return await ask('Sure?', id='s', choices=['no', 'yes'])\n"
    )
    neovim.open(project.script("asks", source))
    neovim.lua("""
        choose = function() return 1 end
        -- What `nvim_get_mode` says of a person who types.
        local real = vim.api.nvim_get_mode
        vim.api.nvim_get_mode = function() return { mode = "i", blocking = false } end
        vim.cmd("Sidestep run asks")
        wait_for_page("? Sure?")
        wait(function() return vim.tbl_contains(said, "Sure?") end, "the notice")
        assert(#asked == 1, "only trust was asked for")
        vim.api.nvim_get_mode = real
        vim.api.nvim_exec_autocmds("InsertLeave", {})
    """)
    assert page_with(neovim, "asks  completed")[-1] == "no"


def test_the_servers_run_command_asks_for_arguments_here(neovim: Neovim, project: Project) -> None:
    """A code lens or code action of the server's; its page opens."""
    source = "async def main(who: str):\n    return f'Hello {who}'\n"
    path = project.script("hello", source)
    neovim.open(path)
    neovim.lua(f"""
        choose = function() return 1 end
        type_in = function() return "lens" end
        local session = require("sidestep").session(vim.fn.getcwd())
        wait(function() return session.state == "ready" end)
        local command = {{ command = "sidestep.run", title = "Run", arguments = {{ {{ uri = "{path.as_uri()}" }} }} }}
        vim.lsp.get_client_by_id(session.client_id).commands["sidestep.run"](command)
    """)
    assert page_with(neovim, "hello  completed")[-1] == "Hello lens"

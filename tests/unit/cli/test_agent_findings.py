"""What `sidestep doctor` says about agents and editors: where they come from, and what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.cli.agent_findings import agent_findings
from sidestep.cli.doctor import _editors
from sidestep.cli.program_version import program_version
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.cli.finding import Finding


class Examined:
    """A user with a folder, and a PATH that starts with a folder of the test's programs."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "work"
        self.project = self.folder / ".sidestep" / "config.toml"
        self.project.parent.mkdir(parents=True)
        self.user = place / "config.toml"
        self.trusted = True
        self.bin = place / "bin"
        self.bin.mkdir()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "MINE": "1"}

    def install(self, name: str, script: str) -> str:
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)

    async def findings(self) -> dict[str, Finding]:
        key = FolderKey.existing(str(self.folder))
        found = await agent_findings(self.user, key, lambda _: self.trusted, self.environ)
        assert len({finding.what for finding in found}) == len(found)
        return {finding.what: finding for finding in found}


@pytest.fixture
def examined(tmp_path: Path) -> Examined:
    return Examined(tmp_path)


async def test_no_agent_at_all_is_no_error_and_says_what_to_do(examined: Examined) -> None:
    examined.environ["PATH"] = str(examined.bin)
    found = await examined.findings()
    assert list(found) == ["agents"]
    assert found["agents"].mark == "--"
    assert "[agents.NAME]" in (found["agents"].todo or "")


async def test_agents_on_path_are_told_with_path_and_version_and_the_others_are_not(examined: Examined) -> None:
    codex = examined.install("codex", '[ "$*" = --version ] && echo && echo "codex 1.2.3" && echo more')
    amp = examined.install("amp", "echo broken >&2; exit 1")
    found = await examined.findings()
    assert list(found) == ["agent codex", "agent amp"]
    assert found["agent codex"].found == f"{codex} (codex 1.2.3); found on PATH; the default"
    assert found["agent amp"].found == f"{amp} (version unknown); found on PATH"
    assert {finding.mark for finding in found.values()} == {"ok"}


async def test_configured_agents_are_told_with_their_file_and_never_started(examined: Examined) -> None:
    mine = examined.install("mine", f"touch {examined.folder}/ran")
    examined.user.write_text(
        'default_agent = "editor"\n'
        '[agents.mine]\nkind = "cli"\ncommand = "mine"\n'
        '[agents.gone]\nkind = "acp"\ncommand = "./gone"\n'
        '[agents.editor]\nkind = "host"\n'
    )
    found = await examined.findings()
    assert found["agent mine"].found == f"{mine} (version unknown); {examined.user}"
    assert found["agent editor"].found == f"done by the host; {examined.user}; the default"
    assert found["agent gone"].mark == "--"
    assert "Install it" in (found["agent gone"].todo or "")
    assert not (examined.folder / "ran").exists()


async def test_a_program_named_from_the_folder_is_found_there(examined: Examined) -> None:
    os.symlink(examined.install("mine", "true"), examined.folder / "tool")
    examined.project.write_text('[agents.mine]\nkind = "cli"\ncommand = "./tool"\n')
    found = await examined.findings()
    assert found["agent mine"].found == f"{examined.folder}/./tool (version unknown); {examined.project}; the default"


async def test_what_is_configured_wrongly_is_an_error_with_its_line(examined: Examined) -> None:
    examined.install("codex", "echo 1")
    examined.project.write_text('[agents.a]\nkind = "clu"\n')
    examined.user.write_text('[agents.b]\nkind = "cli"\n')
    found = await examined.findings()
    assert found["configuration"].mark == "!!"
    assert f"{examined.project}:2: " in found["configuration"].found
    assert found["agent b"].mark == "!!"
    assert "write command =" in found["agent b"].found
    assert "agent a" not in found, "told once"


async def test_a_default_that_names_nobody_is_told_with_the_name_that_was_meant(examined: Examined) -> None:
    mine = '[agents.mine]\nkind = "cli"\ncommand = "mine"\n'
    examined.install("mine", "true")
    examined.user.write_text(f'default_agent = "mina"\n{mine}')
    found = (await examined.findings())["default agent"]
    assert found.mark == "!!"
    assert found.found == f"default_agent = \"mina\" in {examined.user} names no agent. Did you mean 'mine'?"
    assert found.todo == "Write one of: mine."
    examined.environ["PATH"] = str(examined.bin)
    examined.user.write_text(f'default_agent = "codex"\n{mine}')
    found = (await examined.findings())["default agent"]
    assert (found.mark, "its program 'codex' is not on PATH" in found.found) == ("!!", True)
    for good in ("mine", "host"):
        examined.user.write_text(f'default_agent = "{good}"\n{mine}')
        assert "default agent" not in await examined.findings()


async def test_what_is_wrong_with_a_command_is_told(examined: Examined) -> None:
    plain = examined.folder / "my tool"
    plain.write_text("#!/bin/sh\n")
    examined.user.write_text(
        '[agents.plain]\nkind = "cli"\ncommand = "./my tool"\n'
        '[agents.args]\nkind = "cli"\ncommand = "echo --hi"\nargs = ["{prompt}"]\n'
        '[agents.home]\nkind = "cli"\ncommand = "~/bin/tool"\n'
    )
    found = await examined.findings()
    assert {found[f"agent {name}"].mark for name in ("plain", "args", "home")} == {"!!"}
    assert found["agent plain"].found == f"{examined.folder}/./my tool is not executable; {examined.user}; the default"
    assert found["agent plain"].todo == f"chmod +x '{examined.folder}/./my tool'"
    assert "arguments belong into args" in found["agent args"].found
    assert found["agent args"].todo == 'Write command = "echo" and args = ["--hi", "{prompt}"].'
    assert "~ is not expanded" in found["agent home"].found


async def test_a_projects_file_that_is_not_trusted_is_named_and_not_read(examined: Examined) -> None:
    examined.trusted = False
    examined.project.write_text('[agents.a]\nkind = "clu"\n')
    found = await examined.findings()
    assert found["configuration"].mark == "--"
    assert "not trusted" in found["configuration"].found
    assert found["configuration"].todo == "sidestep trust"


async def test_a_version_is_one_bounded_printable_line(examined: Examined) -> None:
    loud = examined.install("loud", "printf '\\033[31m%0200d\\n' 7; yes | head -c 1000000 >&2")
    said = await program_version(loud, ["-v"], str(examined.folder), examined.environ)
    assert said is not None
    assert len(said) == 80
    assert said.startswith("\\x1b[31m000")
    assert await program_version(str(examined.bin / "none"), [], str(examined.folder), examined.environ) is None


async def test_a_program_that_never_says_its_version_is_ended(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidestep.cli.program_version.VERSION_S_MAX", 0.05)
    silent = examined.install("silent", "echo $$ > pid; exec sleep 1000")
    assert await program_version(silent, [], str(examined.folder), examined.environ) is None
    if (examined.folder / "pid").exists():
        pid = int((examined.folder / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_editors_are_told_by_their_paths_and_none_is_needed(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(examined.bin))
    assert _editors().mark == "--"
    assert "none of code, nvim, emacs, hx" in _editors().found
    hx, nvim = examined.install("hx", "exit 1"), examined.install("nvim", "exit 1")
    assert (_editors().mark, _editors().found) == ("ok", f"nvim ({nvim}), hx ({hx})")

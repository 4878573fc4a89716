"""The pages of editors that need no extension: their snippets are what the editor reads, and start a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.cli.serve import read_options
from sidestep_protocol.capabilities import InitializationOptions
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Sequence

EDITORS = Path(__file__).parents[2] / "editors"
PAGES = ("helix.md", "zed.md", "kakoune.md", "sublime.md")
WHOLE = ("neovim/README.md", *PAGES)

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: str, language: str) -> list[str]:
    found = FENCE.finditer((EDITORS / page).read_text(encoding="utf-8"))
    return [match["body"] for match in found if match["info"].split()[:1] == [language]]


def kakoune_servers(text: str) -> dict[str, Any]:
    """The TOML between the braces of `set-option buffer lsp_servers %{...}`."""
    block = re.search(r"set-option buffer lsp_servers %\{(.*?)\n    \}", text, re.DOTALL)
    assert block, "no lsp_servers"
    return tomllib.loads("\n".join(line.strip() for line in block[1].splitlines()))


def commands() -> list[tuple[str, list[str], dict[str, Any]]]:
    """(page, command, initialization options) of every snippet that starts a server."""
    found: list[tuple[str, list[str], dict[str, Any]]] = []
    for text in snippets("helix.md", "toml"):
        server = tomllib.loads(text)["language-server"]["sidestep"]
        found.append(("helix.md", [server["command"], *server["args"]], server.get("config", {})))
    for text in snippets("zed.md", "json"):
        server = json.loads(text)["lsp"]["pylsp"]
        binary = server["binary"]
        found.append(("zed.md", [binary["path"], *binary["arguments"]], server["initialization_options"]))
    for text in snippets("kakoune.md", "kak"):
        server = kakoune_servers(text)["sidestep"]
        found.append(("kakoune.md", [server["command"], *server["args"]], {}))
    for text in snippets("sublime.md", "json"):
        server = json.loads(text)["clients"]["sidestep"]
        found.append(("sublime.md", server["command"], server["initializationOptions"]))
    for text in snippets("neovim/README.md", "lua"):
        if command := re.search(r"cmd = \{([^}]*)\}", text):
            found.append(("neovim/README.md", json.loads(f"[{command[1]}]"), {}))
    return found


def test_every_page_shows_a_command() -> None:
    assert {page for page, _, _ in commands()} == set(WHOLE)


@pytest.mark.parametrize(("page", "command", "options"), commands())
def test_a_command_of_a_page_is_one_that_the_server_takes(
    page: str, command: Sequence[str], options: dict[str, Any]
) -> None:
    program, subcommand, *flags = command
    assert (Path(program).name, subcommand) == ("sidestep", "serve")
    read_options(flags)
    assert options.keys() <= {field.encode_name for field in msgspec.structs.fields(InitializationOptions)}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command", "options"), commands())
def test_a_command_of_a_page_starts_a_server_that_takes_its_options(
    page: str, command: Sequence[str], options: dict[str, Any], tmp_store_path: Path
) -> None:
    line = [sys.executable, "-m", "sidestep", *command[1:], f"--store={tmp_store_path}"]
    with RawClient(line) as client:
        answer = client.result(
            "initialize", {"processId": None, "rootUri": None, "capabilities": {}, "initializationOptions": options}
        )
        assert answer["serverInfo"]["name"] == "sidestep"
        client.result("shutdown")


def test_helix_keeps_its_own_servers_beside_ours() -> None:
    (language,) = tomllib.loads(snippets("helix.md", "toml")[0])["language"]
    assert language["name"] == "python"
    assert language["language-servers"][-1] == "sidestep"


def test_zed_uses_the_server_whose_name_we_take() -> None:
    settings = json.loads(snippets("zed.md", "json")[0])
    (name,) = settings["lsp"]
    assert name in settings["languages"]["Python"]["language_servers"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_plainly_that_it_was_not_run(page: str) -> None:
    first = (EDITORS / page).read_text().split("\n\n")[1]
    assert first.startswith("**Not run:** ")


@pytest.mark.parametrize("page", WHOLE)
def test_one_sentence_stands_on_one_line(page: str) -> None:
    prose = FENCE.sub("", (EDITORS / page).read_text(encoding="utf-8"))
    bare = [re.sub(r"`[^`]*`", "`x`", line) for line in prose.splitlines() if not line.startswith(("|", "#"))]
    assert [line for line in bare if re.search(r"[.!?][)\"'*_`]*\s+[\"'(*_`\[]*[A-Z]", line)] == []


@pytest.mark.parametrize("page", WHOLE)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", (EDITORS / page).read_text())
    assert [target for target in targets if not ((EDITORS / page).parent / target).exists()] == []


@pytest.mark.editor
@pytest.mark.slow
def test_kakoune_loads_its_lines_and_sends_only_workflow_scripts(tmp_path: Path) -> None:
    """With stand-ins for the two words of kakoune-lsp, which no package has."""
    if shutil.which("kak") is None:
        pytest.skip("Kakoune is not installed")
    scripts = tmp_path / ".sidestep" / "workflows"
    scripts.mkdir(parents=True)
    (tmp_path / "other.py").touch()
    (scripts / "mine.py").touch()
    rc = "declare-option str lsp_servers\ndefine-command lsp-enable %{ declare-option -hidden str enabled yes }\n"
    (tmp_path / "kakrc").write_text(rc + snippets("kakoune.md", "kak")[0])
    told = tmp_path / "told"
    tell = f"evaluate-commands %sh{{ printf '%s\\0' \"$kak_opt_lsp_servers\" >> '{told}' }}"
    edits = f"edit {tmp_path}/other.py; {tell}; edit {scripts}/mine.py; {tell}; quit!"
    script = f"source {tmp_path}/kakrc; {edits}"
    subprocess.run(
        ["kak", "-n", "-ui", "dummy", "-e", script],
        check=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "TERM": "dumb"},
    )
    other, mine, _ = told.read_text().split("\0")
    assert other == ""
    assert tomllib.loads("\n".join(line.strip() for line in mine.splitlines()))["sidestep"]["command"] == "sidestep"

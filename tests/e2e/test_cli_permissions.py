"""The permission policy at the command line and over the wire: who is asked, what denies, and what a person is told."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_cli_ask import commands_in, terminal
from tests.support.command_line import CommandLine
from tests.support.raw_client import RawClient, notification, response_to

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TOUCH = '''
"""Leave a file."""
from sidestep import command

async def main():
    await command(["touch", "ran"], id="touch")
    return "done"
'''
ASK = '[permissions]\npolicy = "ask"\n'


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("touch", TOUCH)
    return made


def configure(cli: CommandLine, text: str, *, who: str = "project") -> Path:
    """Write the project's or the user's configuration; returns its path."""
    home = cli.place / "home" / ".config" / "sidestep"
    path = (cli.folder / ".sidestep" if who == "project" else home) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def has_run(cli: CommandLine) -> bool:
    return (cli.folder / "ran").exists()


@pytest.mark.parametrize("who", ["project", "user"])
@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[permissions]\npolicy = "dney"\n', 2, 'policy must be one of "allow", "ask", "deny"'),
        ('[permission]\npolicy = "deny"\n', 1, "Did you mean 'permissions'?"),
        ('[permissions]\npolicie = "deny"\n', 2, "there is policy"),
        ('[permissions]\npolicy = "deny"\nagents:\n', 3, "it is not TOML"),
    ],
)
def test_p7_a_mistake_in_the_permissions_denies_and_says_where(
    cli: CommandLine, who: str, text: str, line: int, says: str
) -> None:
    path = configure(cli, text, who=who)
    said = cli("run", "touch")
    assert (said.exit, has_run(cli)) == (1, False)
    warnings = [told for told in said.err.splitlines() if told.startswith("warning: ")]
    assert len(warnings) == 1
    assert f"{path}:{line}: " in warnings[0]
    assert says in warnings[0]
    (run,) = cli.runs()
    shown = " ".join(cli("runs", "show", run["runId"]).out.split())
    assert "The policy is deny because of a mistake" in shown
    again = cli("runs", "continue", "last")
    assert again.err.count("warning: ") == 1
    path.write_text("")
    assert cli("runs", "retry", "last").out == "done\n"
    assert has_run(cli)


def test_p7_a_trusted_projects_allow_does_not_override_the_users_deny(cli: CommandLine) -> None:
    path = configure(cli, '[permissions]\npolicy = "deny"\n', who="user")
    configure(cli, '[permissions]\npolicy = "allow"\n')
    said = cli("run", "touch")
    assert (said.exit, has_run(cli)) == (1, False)
    told = " ".join(said.err.split())
    assert f'The policy is deny, set by {path}:2; write "ask" or "allow" there to permit it' in told


@pytest.mark.parametrize(("number", "code"), [("1", 0), ("2", 1)])
def test_p7_at_a_terminal_the_policy_to_ask_asks(cli: CommandLine, number: str, code: int) -> None:
    configure(cli, ASK)
    with terminal(cli, "run", "touch") as person:
        person.until("Run touch ran")
        person.until("Number or words: ")
        assert not has_run(cli)
        person.type(f"{number}\n")
        assert person.end()[0] == code
    assert has_run(cli) == (code == 0)


@pytest.mark.parametrize(("answer", "code"), [("allow", 0), ("deny", 1)])
def test_p7_without_a_terminal_the_run_is_interrupted_and_the_answer_counts(
    cli: CommandLine, answer: str, code: int
) -> None:
    configure(cli, ASK)
    said = cli("run", "touch")
    assert (said.exit, has_run(cli)) == (4, False)
    (words,) = [words for words in commands_in(said.err, "answer") if words[-1] == answer]
    assert cli(*words).exit == 0
    assert cli("runs", "continue", "last").exit == code
    assert has_run(cli) == (code == 0)


def test_p7_what_was_permitted_is_permitted_in_a_server_that_can_ask_nobody(cli: CommandLine) -> None:
    configure(cli, ASK)
    said = cli("run", "touch")
    (words,) = [words for words in commands_in(said.err, "answer") if words[-1] == "allow"]
    assert cli(*words).exit == 0, shlex.join(words)
    (run,) = cli.runs()
    with RawClient.spawn(store=cli.store, env=cli.environ) as client:
        client.initialize(folders=[cli.folder])
        number = client.request("workflow/resume", {"runId": run["runId"], "mode": "foreground"})
        assert client.expect(response_to(number))["result"]["status"] == "completed"
        assert client.shut_down() == 0
    assert has_run(cli)


@pytest.mark.parametrize("is_late", [False, True], ids=["at initialized", "at a start"])
def test_p7_a_host_is_told_of_the_mistake_once(cli: CommandLine, is_late: bool) -> None:
    text = '[permission]\npolicy = "deny"\n'
    if not is_late:
        configure(cli, text)
    with RawClient.spawn(store=cli.store, env=cli.environ) as client:
        client.initialize(folders=[cli.folder])
        # Answered after `initialized` was heard.
        client.result("workflow/list", {})
        path = configure(cli, text)
        if not is_late:
            told = client.expect(notification("window/showMessage"))["params"]
        number = client.request("workflow/start", {"script": {"name": "touch"}, "mode": "foreground"})
        if is_late:
            told = client.expect(notification("window/showMessage"))["params"]
        assert told["type"] == 2
        assert told["message"].startswith(f"{path}:1: there is no setting 'permission'")
        assert client.expect(response_to(number))["result"]["status"] == "failed"
        assert client.shut_down() == 0
        assert [each["method"] for each in client.messages if each.get("method") == "window/showMessage"] == [
            "window/showMessage"
        ]
    assert not has_run(cli)

"""Agents are configured, not coded: the files, the session, and which of them holds. Issue points D1, D2 and D3 too."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model import agent_settings
from sidestep.model.agent_settings import AgentConfiguration, AgentSettings, parse_agent, why_unusable
from sidestep.model.agents import PermissionPolicy
from sidestep.scripts.agent_config import CONFIG_BYTES_MAX, AgentConfigReader, SessionAgents
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from pathlib import Path


class Configured:
    """A user with one workspace folder; what stands in the two files, and what the host says."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "work"
        self.project = self.folder / ".sidestep" / "config.toml"
        self.user = place / "home" / "config.toml"
        self.trusted = True
        self.session = SessionAgents()
        for file in (self.project, self.user):
            file.parent.mkdir(parents=True)

    def read(self, project: str | None = None, user: str | None = None) -> AgentConfiguration:
        for file, text in ((self.project, project), (self.user, user)):
            if text is not None:
                file.write_text(text, encoding="utf-8")
        reader = AgentConfigReader(self.user, lambda key: self.trusted and key.path == str(self.folder), self.session)
        return reader(str(self.folder))

    def problem(self, project: str) -> str:
        """The one problem of a project's file, without the file's path."""
        (problem,) = self.read(project).problems
        return str(problem).removeprefix(str(self.project))


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    return Configured(tmp_path)


def test_without_any_file_nothing_is_configured(configured: Configured) -> None:
    assert configured.read() == AgentConfiguration()


def test_every_setting_is_read(configured: Configured) -> None:
    text = """
        default_agent = "mine"

        [permissions]
        policy = "ask"

        [agents.mine]
        kind = "cli"
        command = "./tools/agent"
        args = ["-p", "{prompt}", "{report_file}"]
        env = {MODEL = "large", A = ""}
        cwd = "below"
        concurrency = 2
        prompt_via = "arg"
        schema = "prompt"
        output_format = "json"
        report_file = "last.txt"
        report_field = "result"
        error_field = "is_error"
        usage = {input_tokens = ["a.b", "c"], cost_usd = "cost"}

        [agents."with preset"]
        preset = "claude"
    """
    read = configured.read(text)
    assert read.problems == ()
    assert (read.default_agent, read.permission_policy) == ("mine", PermissionPolicy.ASK)
    assert read.default_where == str(configured.project)
    assert list(read.agents) == ["mine", "with preset"]
    mine = read.agents["mine"].settings
    assert mine == AgentSettings(
        kind="cli",
        command="./tools/agent",
        args=("-p", "{prompt}", "{report_file}"),
        env=(("A", ""), ("MODEL", "large")),
        cwd="below",
        concurrency=2,
        prompt_via="arg",
        schema="prompt",
        output_format="json",
        report_file="last.txt",
        report_field="result",
        error_field="is_error",
        usage=(("cost_usd", ("cost",)), ("input_tokens", ("a.b", "c"))),
    )
    assert why_unusable(mine) is None
    assert len({mine, read.agents["with preset"].settings}) == 2


def test_the_session_goes_before_the_project_and_the_project_before_the_user(configured: Configured) -> None:
    """D1: whole agents replace each other, nothing is mixed."""
    agent = '[agents.{}]\nkind = "cli"\ncommand = "{}"\n'
    user = 'default_agent = "u"\n' + "".join(agent.format(name, "user") for name in "spu") + "concurrency = 3\n"
    project = "".join(agent.format(name, "project") for name in "sp") + '[permissions]\npolicy = "ask"\n'
    configured.session = SessionAgents({"s": {"kind": "cli", "command": "session"}})
    read = configured.read(project, user)
    found = {name: agent.settings.command for name, agent in read.agents.items() if agent.settings}
    assert found == {"s": "session", "p": "project", "u": "user"}
    assert list(found) == ["s", "p", "u"]
    assert [agent.where for agent in read.agents.values()] == [
        "initializationOptions",
        str(configured.project),
        str(configured.user),
    ]
    assert (read.default_agent, read.default_where, read.permission_policy) == (
        "u",
        str(configured.user),
        PermissionPolicy.ASK,
    )
    configured.session = SessionAgents(default_agent="s", permission_policy=PermissionPolicy.DENY)
    read = configured.read()
    assert (read.default_agent, read.permission_policy) == ("s", PermissionPolicy.DENY)


def test_a_hosts_agents_have_the_names_of_the_wire_and_may_be_newer(configured: Configured) -> None:
    configured.session = SessionAgents(
        {
            "a": {"kind": "cli", "command": "x", "promptVia": "arg", "later": 1, "cwd": None},
            "b": {"kind": "cli", "command": "x", "args": "not a list"},
            "c": {"kind": "cli", "outputFormat": "json", "usage": {"inputTokens": "a"}},
        }
    )
    read = configured.read()
    assert read.agents["a"].settings == AgentSettings(kind="cli", command="x", prompt_via="arg")
    assert read.agents["b"].settings is None
    assert read.agents["c"].settings == AgentSettings(
        kind="cli", output_format="json", usage=(("input_tokens", ("a",)),)
    )
    assert [str(problem).partition(" must")[0] for problem in read.problems] == [
        "initializationOptions: agents.b: args"
    ]


def test_d3_nothing_of_an_untrusted_folder_is_read(configured: Configured) -> None:
    text = 'default_agent = "a"\n[agents.a]\nkind = "host"\n'
    assert configured.read(text).agents.keys() == {"a"}
    configured.trusted = False
    assert configured.read() == AgentConfiguration()
    configured.project.write_text("not TOML")
    assert configured.read() == AgentConfiguration()


def test_d2_a_projects_file_that_leads_outside_is_not_read(configured: Configured, tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_text("default_agent = 'a'\n")
    configured.project.symlink_to(outside)
    assert "leads outside" in str(configured.read().problems[0])
    assert configured.read().default_agent is None
    inside = configured.folder / "agents.toml"
    inside.write_text("default_agent = 'b'\n")
    configured.project.unlink()
    configured.project.symlink_to(inside)
    assert configured.read().default_agent == "b"
    # The user's own files may stand wherever the user wants them.
    configured.user.symlink_to(outside)
    configured.project.unlink()
    assert configured.read().default_agent == "a"


def test_d1_a_broken_file_disables_only_itself(configured: Configured) -> None:
    read = configured.read('[agents.a]\nkind = "host"\n[agents.b\n', '[agents.c]\nkind = "host"\n')
    assert list(read.agents) == ["c"]
    assert str(read.problems[0]).startswith(f"{configured.project}:3: it is not TOML: ")


def test_a_broken_agent_disables_only_itself_and_lets_no_other_of_its_name_through(configured: Configured) -> None:
    read = configured.read(
        '[agents.a]\nkind = "clu"\n\n[agents.b]\nkind = "host"\n', '[agents.a]\nkind = "host"\n[agents.d]\nkind="acp"'
    )
    assert list(read.agents) == ["a", "b", "d"]
    broken = read.agents["a"]
    assert broken.settings is None
    assert broken.problem == read.problems[0]
    assert str(broken.problem) == f'{configured.project}:2: [agents.a] kind must be "acp" or "cli" or "host"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[agents.a]\nkind='cli'\nargs='-p x'\n", ":3: [agents.a] args must be a list of texts"),
        ("[agents.a]\nargs=[1]\n", ":2: [agents.a] args must hold texts only"),
        ("[agents.a]\n\n  prompt-via = 'arg'\n", ":3: [agents.a] an agent has no setting 'prompt-via'; there are kind"),
        ("[agents.a]\nprompt_via = 'file'\n", ':2: [agents.a] prompt_via must be "stdin" or "arg"'),
        ("[agents.a]\nconcurrency = 0\n", ":2: [agents.a] concurrency must be a whole number from 1"),
        ("[agents.a]\nconcurrency = true\n", ":2: [agents.a] concurrency must be a whole number from 1"),
        ("[agents.a]\nenv = {A = 1}\n", ":2: [agents.a] env must hold texts, and A is none"),
        ("[agents.a.env]\n'A=' = 'x'\n", ":1: [agents.a] env holds 'A='"),
        ("[agents.a]\nenv = ['A']\n", ":2: [agents.a] env must be a table of texts"),
        ('[agents.a]\ncommand = "a\\u0000"\n', ":2: [agents.a] command holds a NUL"),
        ("[agents.a]\ncommand = ''\n", ":2: [agents.a] command must be text, and not empty"),
        ("[agents.a]\nreport_file = 'a/b'\n", ":2: [agents.a] report_file is a file's name"),
        ("[agents.a]\nusage = {tokens = 'a'}\n", ":2: [agents.a] usage has no 'tokens'; there are input_tokens"),
        ("[agents.a]\nusage = {input_tokens = 1}\n", ":2: [agents.a] usage has a input_tokens that is neither"),
        ("[agents.a]\nusage = 'a'\n", ":2: [agents.a] usage must be a table"),
        ("agents.a.concurrency = 'x'\n", ":1: [agents.a] concurrency must be"),
        ("x = 1\n\n[agents]\na = 'claude'\n[agents2]\n", None),
        ("[agents]\na = 'claude'\n", ":2: agents.a is a table: write [agents.a]"),
        ("agents = 1\n", ":1: agents is a table"),
        ("\ndefault_agents = 'a'\n", ":2: there is no setting 'default_agents'. Did you mean 'default_agent'?"),
        ("default_agent = ['a']\n", ":1: write default_agent = "),
        ("[permissions]\npolicy = 'maybe'\n", ':2: policy must be one of "allow", "ask", "deny"'),
        ("[permissions]\nx = 1\n", ":2: [permissions] has no setting 'x'"),
        ("permissions = 'ask'\n", ":1: permissions is a table"),
        ("\npolicy = 'deny'\n", ':2: write policy = "ask" below [permissions]'),
        ("[permission]\npolicy = 'deny'\n", ":1: there is no setting 'permission'. Did you mean 'permissions'?"),
        ("a = 1\na = 2\n", ":2: it is not TOML: Cannot overwrite a value"),
        ("a = [\n\n", ": it is not TOML: "),
        ("a = " + "[" * 50_000, "nested too deeply"),
        ("\n" + "a." * 20_000 + "a = 1", ":2: the line has more than 200 dots"),
        ("#" * (CONFIG_BYTES_MAX + 1), f"it is longer than {CONFIG_BYTES_MAX} bytes"),
    ],
)
def test_a_problem_says_where_and_what_to_write(configured: Configured, text: str, says: str | None) -> None:
    if says is None:
        assert len(configured.read(text).problems) == 3
    else:
        assert says in configured.problem(text)


@pytest.mark.parametrize("source", ["project", "user"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[permissions]\npolicy = 'dney'\n", 2),
        ("[permissions]\npolicy = true\n", 2),
        ("[permissions]\npolicie = 'deny'\n", 2),
        ("[permission]\npolicy = 'deny'\n", 1),
        ("policy = 'deny'\n", 1),
        ("permissions = 'deny'\n", 1),
        ("[permissions]\npolicy = 'deny'\n\nagents =\n", 4),
        ("[permissions]\npolicy = 'allow'\nagents =\n", 3),
        ("x" * (CONFIG_BYTES_MAX + 1), 1),
    ],
)
def test_p7_a_mistake_that_may_hide_a_policy_denies(
    configured: Configured, source: str, text: str, line: int | None
) -> None:
    """P7: in any source, whatever another one allows."""
    allow = "[permissions]\npolicy = 'allow'\n"
    read = configured.read(text, allow) if source == "project" else configured.read(allow, text)
    assert read.permission_policy is PermissionPolicy.DENY
    problem = read.permission_problem
    assert problem is not None
    file = configured.project if source == "project" else configured.user
    assert (problem.where, problem.line) == (str(file), line)
    assert any(told.startswith(str(problem)) and "are denied" in told for told in read.warnings)


def test_p7_a_projects_file_that_is_not_read_for_where_it_leads_denies(configured: Configured, tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_text("[permissions]\npolicy = 'allow'\n")
    configured.project.symlink_to(outside)
    assert configured.read().permission_policy is PermissionPolicy.DENY
    configured.project.unlink()
    configured.project.mkdir()
    assert configured.read().permission_policy is PermissionPolicy.DENY


@pytest.mark.parametrize(
    "text", ["", "[permissions]\n", "[agents.a]\nkind = 'clu'\n", "default_agent = 1\n", "agents = 1\n"]
)
def test_p7_what_has_to_do_with_no_policy_forbids_nothing(configured: Configured, text: str) -> None:
    read = configured.read(text)
    assert (read.permission_policy, read.permission_problem) == (None, None)
    configured.trusted = False
    assert configured.read("[permissions]\npolicy = 'dney'\n").permission_policy is None


def test_p7_the_strictest_policy_of_session_project_and_user_holds(configured: Configured) -> None:
    said = "[permissions]\npolicy = '{}'\n"
    where = {"project": f"{configured.project}:2", "user": f"{configured.user}:2", "session": "initializationOptions"}
    order = ("allow", "ask", "deny")
    for session, project, user in itertools.product(order, repeat=3):
        configured.session = SessionAgents(permission_policy=PermissionPolicy(session))
        read = configured.read(said.format(project), said.format(user))
        strictest = max(session, project, user, key=order.index)
        assert read.permission_policy is PermissionPolicy(strictest)
        words = {"session": session, "project": project, "user": user}
        assert read.permission_where == next(where[who] for who, word in words.items() if word == strictest)


def test_the_warnings_are_few_and_begin_with_what_forbids(configured: Configured) -> None:
    agents = "".join(f"[agents.a{number}]\nkind = 'x'\n" for number in range(9))
    told = configured.read(agents + "[permission]\n").warnings
    assert len(told) == 6
    assert "there is no setting 'permission'" in told[0]
    assert told[-1] == "5 more problems of the configuration; `sidestep doctor` lists them"


def test_a_file_that_is_no_text_or_no_file_is_told(configured: Configured) -> None:
    configured.project.write_bytes(b"a = '\xff'\n")
    assert "it is not UTF-8" in str(configured.read().problems[0])
    configured.project.unlink()
    os.mkfifo(configured.project)
    assert "it cannot be read" in str(configured.read().problems[0])
    configured.project.unlink()
    configured.project.mkdir()
    assert "it cannot be read" in str(configured.read().problems[0])


def test_a_file_is_read_again_each_time_and_a_host_may_be_heard_later(configured: Configured) -> None:
    reader = AgentConfigReader(configured.user, lambda _: False)
    assert reader(str(configured.folder)).default_agent is None
    configured.user.write_text("default_agent = 'a'\n")
    assert reader(str(configured.folder)).default_agent == "a"
    reader.use_session(SessionAgents(default_agent="b"))
    assert reader(str(configured.folder)).default_agent == "b"


def test_a_folder_that_is_none_has_the_users_agents(configured: Configured) -> None:
    configured.user.write_text("default_agent = 'a'\n")
    reader = AgentConfigReader(configured.user, lambda _: True)
    assert reader("not absolute").default_agent == "a"
    assert reader("/a\0b").default_agent == "a"


def test_every_setting_has_a_reader_and_the_other_way_round() -> None:
    assert set(agent_settings._READERS) == set(AgentSettings.__struct_fields__)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "write kind ="),
        ({"kind": "cli"}, "write command ="),
        ({"kind": "acp"}, "write command ="),
        ({"kind": "host", "command": "x"}, "command means nothing for kind"),
        ({"kind": "acp", "command": "x", "prompt_via": "arg"}, "prompt_via means nothing"),
        ({"kind": "cli", "command": "x", "schema": "data"}, 'schema = "data" is for kind = "host"'),
        ({"kind": "cli", "command": "x", "prompt_via": "stdin", "args": ["{prompt}"]}, "remove one of them"),
        ({"kind": "cli", "command": "x", "args": ["-p", "{prmpt}"]}, "{prmpt} in args is filled in with nothing"),
        ({"kind": "cli", "command": "x", "args": ["--in={cwd}", "${home}", '{"a": {}}', "{ print }"]}, None),
        ({"kind": "cli", "command": "x", "report_file": "a"}, "no argument holds {report_file}"),
        ({"kind": "cli", "command": "x", "output_format": "json"}, "needs report_field"),
        ({"kind": "cli", "command": "x", "usage": {"cost_usd": "a"}}, "usage is read from JSON"),
        ({"kind": "cli", "command": "x", "output_format": "text", "error_field": "a"}, "error_field is read from JSON"),
        ({"kind": "host", "schema": "prompt", "concurrency": 1}, None),
        ({"kind": "cli", "command": "x"}, None),
        ({"kind": "cli", "command": "x", "args": ["{report_file}"], "output_format": "json"}, None),
    ],
)
def test_what_a_complete_agent_lacks_or_contradicts(table: dict[str, Any], says: str | None) -> None:
    settings, problem = parse_agent(table)
    assert problem is None
    assert settings is not None
    why = why_unusable(settings)
    assert why is None if says is None else why is not None and says in why


def test_settings_over_a_preset_replace_whole_settings() -> None:
    preset = AgentSettings(kind="cli", command="x", args=("a", "b"), env=(("A", "1"),), concurrency=2)
    own = AgentSettings(args=("c",), concurrency=1)
    assert own.over(preset) == AgentSettings(kind="cli", command="x", args=("c",), env=(("A", "1"),), concurrency=1)


def test_one_reader_sees_every_change_of_a_file(configured: Configured) -> None:
    """What was read is remembered as long as the file stays what it was: size, times, inode."""
    reader = AgentConfigReader(configured.user, lambda _: True)

    def policy() -> PermissionPolicy | None:
        return reader(str(configured.folder)).permission_policy

    assert policy() is None
    configured.user.write_text('permissions = {policy = "ask"}\n', encoding="utf-8")
    assert policy() is PermissionPolicy.ASK
    times = configured.user.stat()
    other = configured.user.with_suffix(".new")
    other.write_text('permissions = {policy= "deny"}\n', encoding="utf-8")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, configured.user)
    assert configured.user.stat().st_size == times.st_size
    assert policy() is PermissionPolicy.DENY, "another file of the same size and time"
    configured.user.unlink()
    assert policy() is None


def test_a_file_that_could_not_be_read_is_tried_again(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = AgentConfigReader(configured.user, lambda _: True)
    configured.user.write_text('permissions = {policy = "allow"}\n', encoding="utf-8")
    opened = os.open

    def refuse(*args: Any, **options: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    assert reader(str(configured.folder)).permission_policy is PermissionPolicy.DENY
    monkeypatch.setattr(os, "open", opened)
    assert reader(str(configured.folder)).permission_policy is PermissionPolicy.ALLOW


def test_p7_a_settings_folder_that_leads_outside_denies_also_without_a_file(configured: Configured) -> None:
    outside = configured.folder.parent / "elsewhere"
    outside.mkdir()
    os.rename(configured.project.parent, configured.folder.parent / "old")
    configured.project.parent.symlink_to(outside)
    assert configured.read().permission_policy is PermissionPolicy.DENY
    configured.project.parent.unlink()
    assert configured.read() == AgentConfiguration()


def test_p7_one_reader_sees_a_settings_folder_that_becomes_a_link_and_none_again(configured: Configured) -> None:
    """The file itself stays what it was."""
    reader = AgentConfigReader(configured.user, lambda _: True)
    project, elsewhere = configured.project.parent, configured.folder.parent / "elsewhere"
    configured.project.write_text('permissions = {policy = "allow"}\n', encoding="utf-8")
    assert reader(str(configured.folder)).permission_policy is PermissionPolicy.ALLOW
    os.rename(project, elsewhere)
    project.symlink_to(elsewhere)
    assert reader(str(configured.folder)).permission_policy is PermissionPolicy.DENY
    project.unlink()
    os.rename(elsewhere, project)
    assert reader(str(configured.folder)).permission_policy is PermissionPolicy.ALLOW


def test_a_folder_is_known_by_any_of_its_names(configured: Configured, tmp_path: Path) -> None:
    """Only a key is trusted; another name of the folder leads to it."""
    key = FolderKey.existing(str(configured.folder))
    configured.project.write_text('default_agent = "a"\n', encoding="utf-8")
    (tmp_path / "other-name").symlink_to(configured.folder)
    reader = AgentConfigReader(configured.user, lambda folder: folder == key)
    assert reader(str(configured.folder)).default_agent == "a"
    assert reader(str(tmp_path / "other-name")).default_agent == "a"
    assert reader(str(tmp_path)).default_agent is None

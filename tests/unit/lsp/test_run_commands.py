"""`workspace/executeCommand`: answered at once, carried out behind it, and every refusal told to the person."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.lsp import run_commands
from sidestep.lsp.language_offer import COMMANDS
from sidestep.lsp.run_commands import RunCommands
from sidestep.lsp.workspace import Workspace
from sidestep.model.errors import ArgsInvalid, RunLeased, StoreUnavailable, WorkspaceUntrusted
from sidestep.model.problems import ArgsProblem
from sidestep.model.run import Attention
from sidestep.rpc.errors import PeerError, RpcError
from sidestep.scripts.check import check_with_signature
from sidestep.scripts.file_uri import uri_of_path
from tests.support.plain_editor import FakePeer, FakeService, a_run, greeting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.lsp.greeting import Greeting
    from sidestep.model.run import RunRecord

REFUSED = PeerError(-32601, "no such method")
ASKS = """\
from typing import Literal

async def main(how: Literal["fast", "slow"], dry: bool, note: str = ""):
    return how
"""


class Desk:
    """The commands of one client, with what they lead to."""

    def __init__(self, folder: Path, peer: FakePeer | None = None, greeted: Greeting | None = None) -> None:
        scripts = folder / ".sidestep" / "workflows"
        scripts.mkdir(parents=True)
        self.folder = folder
        self.uri = uri_of_path(str(scripts / "build.py"))
        self.peer = peer or FakePeer()
        self.fake = FakeService()
        self.source = ASKS
        self.shown: list[RunRecord] = []
        self.followed: list[str] = []
        self.progress: list[tuple[str, str]] = []
        self.trusted: list[str] = []
        self.unsaved = False
        workspace = self.workspace = Workspace()
        workspace.open([uri_of_path(str(folder))])
        known: Any = {
            "open_service": self.fake.opened,
            "library": SimpleNamespace(resolve=self._resolve),
            "workspace": workspace,
            "notifier": SimpleNamespace(follow=self._follow, show_progress=self._show_progress),
            "endings": SimpleNamespace(show=self._show),
            "greeting": lambda: greeted or greeting(),
            "trust": self._trust,
            "is_unsaved": lambda _: self.unsaved,
        }
        self.commands = RunCommands(self.peer, **known)

    async def do(self, command: str, **argument: Any) -> Any:
        return (await self.commands.execute(f"sidestep.{command}", [argument]))["runId"]

    async def run(self, **argument: Any) -> Any:
        return await self.do("run", uri=self.uri, **argument)

    @property
    def started(self) -> list[dict[str, Any]]:
        return [request.args for verb, request in self.fake.calls if verb == "start"]

    async def _resolve(self, script: Any, folder: Any) -> Any:
        signature = check_with_signature(self.source, "build.py")[0]
        return SimpleNamespace(name="build", uri=self.uri, signature=signature)

    def _follow(self, run_id: str, attached: object) -> Callable[[], None]:
        self.followed.append(run_id)
        return lambda: None

    def _show_progress(self, run_id: str, token: str) -> None:
        self.progress.append((run_id, token))

    async def _show(self, run: RunRecord) -> None:
        self.shown.append(run)

    async def _trust(self, folder: Any) -> None:
        self.trusted.append(folder.path)


async def settled() -> None:
    """Until every task has come to where it waits for somebody else."""
    for _ in range(20):
        await asyncio.sleep(0)


def invalid() -> ArgsInvalid:
    return ArgsInvalid("build", (ArgsProblem("/how", "required"),))


def test_what_is_announced_is_carried_out(tmp_path: Path) -> None:
    assert Desk(tmp_path).commands.names == COMMANDS


async def test_a_run_is_answered_when_it_is_durable_and_tells_its_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.workspace.open([uri_of_path(str(tmp_path.parent))])
    assert await desk.run(args={"how": "fast"}) == "run_1"
    ((_, request),) = desk.fake.calls
    assert (request.args, request.attention) == ({"how": "fast"}, Attention.NOTIFY_ON_TERMINAL)
    # The project's own folder, though two are open and nobody named it.
    assert request.folder.path == str(tmp_path)
    assert desk.followed == ["run_1"]


async def test_a_run_takes_the_folder_that_is_named(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "project")
    desk.uri = "file:///home/me/mine.py"
    other = tmp_path / "other"
    other.mkdir()
    await desk.run()
    await desk.run(workspaceFolder=uri_of_path(str(other)))
    assert [request.folder.path for _, request in desk.fake.calls] == [str(tmp_path / "project"), str(other)]
    desk.uri = uri_of_path(str(desk.folder / ".sidestep" / "workflows" / "build.py"))
    await desk.run(workspaceFolder=uri_of_path(str(other)))
    assert desk.fake.calls[-1][1].folder.path == str(other)


@pytest.mark.parametrize(
    ("command", "argument", "verb", "current"),
    [
        ("resume", {}, "resume", None),
        ("retry", {}, "retry", False),
        ("retry", {"source": "current"}, "retry", True),
        ("interrupt", {}, "interrupt", None),
        ("background", {}, "background", None),
    ],
)
async def test_the_other_verbs_are_answered_at_once(
    tmp_path: Path, command: str, argument: dict[str, Any], verb: str, current: bool | None
) -> None:
    desk = Desk(tmp_path)
    assert await desk.do(command, runId="run_1", **argument) == "run_1"
    assert desk.fake.calls == []
    await settled()
    ((called, request),) = desk.fake.calls
    assert called == verb
    assert getattr(request, "run_id", request) == "run_1"
    assert getattr(request, "current_source", None) == current
    assert getattr(request, "attention", Attention.NOTIFY_ON_TERMINAL) is Attention.NOTIFY_ON_TERMINAL


async def test_a_run_is_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.fake.store.runs = [a_run()]
    await desk.do("showRun", runId="run_1")
    await settled()
    assert [run.run_id for run in desk.shown] == ["run_1"]


async def test_a_refusal_is_told_and_answered_with_no_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.fake.refusals = [StoreUnavailable("the disk is full", "make room")]
    assert await desk.run() is None
    assert "the disk is full" in desk.peer.messages[0]
    desk.fake.refusals = [RunLeased(run_id="run_1", pid=7, since_ms=0, mine=False)]
    await desk.do("resume", runId="run_1")
    await settled()
    assert "7" in desk.peer.messages[1]


async def test_a_fault_of_ours_is_told_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    desk.fake.refusals = [ValueError("a bug")]
    assert await desk.run() is None
    assert desk.peer.messages == ["A command of Sidestep's failed; the server's log tells why"]
    assert "a bug" in caplog.text


@pytest.mark.parametrize(
    ("chosen", "trusted", "verbs"),
    [
        ({"title": "Trust and run"}, True, ["start", "start"]),
        ({"title": "Not now"}, False, ["start"]),
        (None, False, ["start"]),
    ],
)
async def test_trust_is_asked_for_and_only_a_yes_runs(
    tmp_path: Path, chosen: Any, trusted: bool, verbs: list[str]
) -> None:
    desk = Desk(tmp_path, FakePeer(window_showMessageRequest=chosen))
    desk.fake.refusals = [WorkspaceUntrusted(str(tmp_path))]
    assert await desk.run() is None
    await settled()
    assert [verb for verb, _ in desk.fake.calls] == verbs
    assert desk.trusted == ([str(tmp_path)] if trusted else [])


@pytest.mark.parametrize("command", ["resume", "retry"])
async def test_trust_is_asked_for_when_a_run_goes_on(tmp_path: Path, command: str) -> None:
    desk = Desk(tmp_path, FakePeer(window_showMessageRequest={"title": "Trust and run"}))
    desk.fake.store.runs = [a_run(folder=str(tmp_path))]
    desk.fake.refusals = [WorkspaceUntrusted(str(tmp_path))]
    await desk.do(command, runId="run_1")
    await settled()
    assert [verb for verb, _ in desk.fake.calls] == [command, command]
    assert desk.trusted == [str(tmp_path)]


async def test_who_cannot_be_asked_is_told_how_to_trust(tmp_path: Path) -> None:
    for peer, greeted in (
        (FakePeer(), greeting(can_be_asked=False)),
        (FakePeer(window_showMessageRequest=REFUSED), None),
    ):
        desk = Desk(tmp_path / str(id(peer)), peer, greeted)
        desk.fake.refusals = [WorkspaceUntrusted(str(desk.folder))]
        assert await desk.run() is None
        await settled()
        assert f"sidestep trust {desk.folder}" in peer.messages[0]
        assert desk.trusted == []


async def test_missing_arguments_with_few_values_are_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakePeer(window_showMessageRequest={"title": "true"}))
    desk.fake.refusals = [invalid()]
    assert await desk.run(args={"how": "slow"}) is None
    await settled()
    ((question,),) = [desk.peer.of("window/showMessageRequest")]
    assert [each["title"] for each in question["actions"]] == ["true", "false"]
    assert desk.started[-1] == {"how": "slow", "dry": True}


async def test_who_dismisses_a_question_has_nothing_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakePeer(window_showMessageRequest=None))
    desk.fake.refusals = [invalid()]
    await desk.run()
    await settled()
    assert len(desk.started) == 1
    assert desk.peer.messages == []


async def test_an_argument_without_few_values_is_explained(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.source = "async def main(task: str):\n    return task\n"
    desk.fake.refusals = [invalid()]
    assert await desk.run() is None
    assert "sidestep run build task=..." in desk.peer.messages[0]


async def test_a_wrong_argument_is_told_and_not_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.fake.refusals = [invalid()]
    assert await desk.run(args={"how": "no", "dry": True}) is None
    assert "/how: required" in desk.peer.messages[0]
    assert desk.peer.of("window/showMessageRequest") == []


async def test_unsaved_changes_are_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.unsaved = True
    assert await desk.run() == "run_1"
    # The look at the file happens in a thread, after the answer.
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "command"))
    assert desk.peer.of("window/showMessage") == [
        {"type": 2, "message": "build runs as it was saved; it has changes that are not saved"}
    ]


async def test_progress_is_shown_once_the_client_agrees(tmp_path: Path) -> None:
    offered = greeting(window={"workDoneProgress": True})
    for number, (peer, shown) in enumerate(
        [
            (FakePeer(**{"window_workDoneProgress/create": None}), ["run_1"]),
            (FakePeer(**{"window_workDoneProgress/create": REFUSED}), []),
            (FakePeer(), []),
        ]
    ):
        desk = Desk(tmp_path / str(number), peer, offered)
        await desk.run()
        await settled()
        assert [run_id for run_id, _ in desk.progress] == shown
        assert len(peer.of("window/workDoneProgress/create")) == 1
        desk.commands.close()
    silent = Desk(tmp_path / "silent")
    await silent.run()
    await settled()
    assert silent.peer.sent == []


async def test_too_many_open_questions_are_no_queue_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_commands, "COMMANDS_MAX", 2)
    desk = Desk(tmp_path)
    desk.fake.refusals = [WorkspaceUntrusted(str(tmp_path)) for _ in range(3)]
    assert [await desk.run() for _ in range(3)] == [None, None, None]
    assert len(desk.peer.of("window/showMessageRequest")) == 2
    assert "answer the open questions first" in desk.peer.messages[0]
    desk.commands.close()


@pytest.mark.parametrize(
    ("command", "arguments", "path"),
    [
        ("sidestep.fly", [{}], "$.command"),
        ("sidestep.run", None, "$.arguments"),
        ("sidestep.run", [{"uri": 5}], "$.arguments[0].uri"),
        ("sidestep.retry", [{"runId": "run_1", "source": "new"}], "$.arguments[0].source"),
    ],
)
async def test_what_cannot_be_understood_is_an_error(tmp_path: Path, command: str, arguments: Any, path: str) -> None:
    with pytest.raises(RpcError) as raised:
        await Desk(tmp_path).commands.execute(command, arguments)
    assert raised.value.error.code == -32602
    assert msgspec.to_builtins(raised.value.error)["data"]["path"] == path

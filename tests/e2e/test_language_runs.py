"""Runs from a plain LSP editor: lenses, code actions, commands, progress, messages, reports, failed steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.scripts.file_uri import path_of_uri
from tests.support.raw_client import RawClient, message_where, notification, server_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.slow

PUBLISHED = "textDocument/publishDiagnostics"
GREEN = """\
from sidestep import command

async def main():
    await command(["true"], id="one")
    return "# All is well"
"""
HELD = """\
from sidestep import command, sleep

async def main():
    await command(["true"], id="one")
    await sleep(3600, id="two")
    await command(["true"], id="three")
"""
RED = """\
from sidestep import command

async def main():
    await command(["true"], id="one")
    await command(["sh", "-c", "echo oh no >&2; exit 3"], id="two")
"""
ASKS = """\
from typing import Literal
from sidestep import log

async def main(how: Literal["fast", "slow"], dry: bool):
    return f"{how} {dry}"
"""
NEEDS_TEXT = "async def main(task: str):\n    return task\n"

FULL = {
    "window": {"workDoneProgress": True, "showMessage": {}, "showDocument": {"support": True}},
    "workspace": {"codeLens": {"refreshSupport": True}},
    "textDocument": {"publishDiagnostics": {"relatedInformation": True}},
}


class Editor:
    """A plain editor with one script."""

    def __init__(self, client: RawClient, folder: Path, capabilities: dict[str, Any], *, trusted: bool) -> None:
        self.client = client
        self.folder = folder
        self.scripts = folder / ".sidestep" / "workflows"
        self.scripts.mkdir(parents=True)
        self.uri = (self.scripts / "build.py").as_uri()
        uri = folder.as_uri()
        hello: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": capabilities}
        hello["workspaceFolders"] = [{"uri": uri, "name": "w"}]
        hello["initializationOptions"] = {"trust": {"folders": [uri]}} if trusted else {}
        self.offered = client.result("initialize", hello)["capabilities"]
        client.notify("initialized")

    def open(self, text: str) -> None:
        (self.scripts / "build.py").write_text(text)
        item = {"uri": self.uri, "languageId": "python", "version": 1, "text": text}
        self.client.notify("textDocument/didOpen", {"textDocument": item})

    def lenses(self) -> dict[str, dict[str, Any]]:
        told = self.client.result("textDocument/codeLens", {"textDocument": {"uri": self.uri}})
        return {each["command"]["title"]: each["command"] for each in told}

    def click(self, command: dict[str, Any]) -> Any:
        params = {"command": command["command"], "arguments": command["arguments"]}
        return self.client.result("workspace/executeCommand", params)["runId"]

    def do(self, command: str, **argument: Any) -> Any:
        return self.click({"command": f"sidestep.{command}", "arguments": [argument]})

    def status(self, run_id: str, status: str) -> None:
        self.client.expect(
            message_where(
                lambda message: (
                    message.get("method") == "workflow/statusChanged"
                    and message["params"]["runId"] == run_id
                    and message["params"]["status"] == status
                ),
                f"{run_id} is {status}",
            )
        )

    def ended(self, run_id: str, status: str, *, since: int = 0) -> None:
        self.client.expect(
            message_where(
                lambda message: (
                    message.get("method") == "workflow/statusChanged"
                    and message["params"]["runId"] == run_id
                    and message["params"]["status"] == status
                    and message["params"].get("quiescent") is True
                ),
                f"{run_id} is {status} and quiescent",
            ),
            since=since,
        )

    def began(self, run_id: str, step_id: str) -> None:
        """Wait until a step is under way: the run is asked again and again, as an editor without our protocol may."""
        self.client.result("workflow/subscribe", {"runId": run_id, "afterSequence": 0})
        if not any(self.steps(run_id, step_id)):
            self.client.expect(
                message_where(
                    lambda message: (
                        message.get("method") == "workflow/eventsAppended"
                        and any(event.get("stepId") == step_id for event in message["params"]["events"])
                    ),
                    f"step {step_id} of {run_id}",
                )
            )

    def steps(self, run_id: str, step_id: str) -> list[Any]:
        return self.client.result("workflow/steps", {"runId": run_id, "stepId": step_id})["steps"]

    def asked(self, method: str) -> Any:
        return self.client.expect(server_request(method))

    def answer(self, request: Any, result: Any) -> None:
        self.client.send({"jsonrpc": "2.0", "id": request["id"], "result": result})

    def refuse(self, request: Any) -> None:
        error = {"code": -32601, "message": "no such method"}
        self.client.send({"jsonrpc": "2.0", "id": request["id"], "error": error})

    def message(self, words: str) -> dict[str, Any]:
        return self.client.expect(
            message_where(
                lambda message: message.get("method") == "window/showMessage" and words in message["params"]["message"],
                f"a message with {words!r}",
            )
        )["params"]

    def problem(self, code: str) -> dict[str, Any]:
        def has(message: Any) -> bool:
            return message.get("method") == PUBLISHED and code in [
                each["code"] for each in message["params"]["diagnostics"]
            ]

        told = self.client.expect(message_where(has, f"a problem {code}"))["params"]["diagnostics"]
        return next(each for each in told if each["code"] == code)


@pytest.fixture
def editor(tmp_path: Path, tmp_store_path: Path) -> Iterator[Callable[..., Editor]]:
    with RawClient.spawn(store=tmp_store_path) as client:
        yield lambda capabilities=FULL, *, trusted=True: Editor(client, tmp_path / "w", capabilities, trusted=trusted)
        assert client.shut_down() == 0


def test_a_run_from_the_lens_is_shown_to_its_end(editor: Callable[..., Editor]) -> None:
    here = editor()
    assert "sidestep.run" in here.offered["executeCommandProvider"]["commands"]
    here.open(GREEN)
    assert list(here.lenses()) == ["Run"]
    run_id = here.click(here.lenses()["Run"])
    create = here.asked("window/workDoneProgress/create")
    here.answer(create, None)
    refresh = here.asked("workspace/codeLens/refresh")
    here.answer(refresh, None)
    here.ended(run_id, "completed")
    request = here.asked("window/showMessageRequest")
    assert request["params"]["message"] == "build completed: All is well"
    here.answer(request, {"title": "Open report"})
    shown = here.asked("window/showDocument")
    here.answer(shown, {"success": True})
    assert "# All is well" in _text_of(shown["params"]["uri"])
    assert list(here.lenses()) == ["Run", "Last run: completed: All is well"]


def test_cancelled_progress_interrupts_and_the_lens_says_what_is_kept(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(HELD)
    run_id = here.click(here.lenses()["Run"])
    create = here.asked("window/workDoneProgress/create")
    here.answer(create, None)
    token = create["params"]["token"]
    begin = here.client.expect(notification("$/progress"))["params"]
    assert (begin["token"], begin["value"]["kind"], begin["value"]["cancellable"]) == (token, "begin", True)
    here.began(run_id, "two")
    assert "Interrupt" in here.lenses()
    here.client.notify("window/workDoneProgress/cancel", {"token": token})
    here.ended(run_id, "interrupted")
    assert list(here.lenses())[:2] == ["Resume (1 of 2 steps kept)", "Run"]
    assert here.click(here.lenses()["Resume (1 of 2 steps kept)"]) == run_id
    here.client.expect(
        message_where(
            lambda message: (
                message.get("method") == "workflow/statusChanged" and message["params"].get("previous") == "interrupted"
            ),
            "the run goes on",
        )
    )
    here.do("interrupt", runId=run_id)


def test_a_failed_step_is_a_problem_at_its_call_until_the_call_changes(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(RED)
    here.click(here.lenses()["Run"])
    problem = here.problem("step-failed")
    assert problem["range"]["start"] == {"line": 4, "character": 10}
    (related,) = problem["relatedInformation"]
    assert "`two`" in _text_of(related["location"]["uri"])
    assert "Retry (1 of 2 steps kept)" in here.lenses()
    since = here.client.mark()
    change = {"range": {"start": {"line": 4, "character": 52}, "end": {"line": 4, "character": 53}}, "text": "0"}
    document = {"uri": here.uri, "version": 2}
    here.client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
    told = here.client.expect(
        message_where(
            lambda message: message.get("method") == PUBLISHED and message["params"].get("version") == 2, "version 2"
        ),
        since=since,
    )
    assert [each["code"] for each in told["params"]["diagnostics"]] == []


def test_a_retry_goes_on_with_the_script_that_ran_or_with_the_present_one(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(RED)
    run_id = here.click(here.lenses()["Run"])
    here.ended(run_id, "failed")
    since = here.client.mark()
    assert here.do("retry", runId=run_id) == run_id
    here.ended(run_id, "failed", since=since)
    (here.scripts / "build.py").write_text(RED.replace("exit 3", "exit 0"))
    since = here.client.mark()
    # The file is another one now, and the default is still the text that ran.
    here.do("retry", runId=run_id, source="snapshot")
    here.ended(run_id, "failed", since=since)
    since = here.client.mark()
    here.do("retry", runId=run_id, source="current")
    here.ended(run_id, "completed", since=since)
    (one,) = here.steps(run_id, "one")
    assert (one["attempt"], one["reused"]) == (1, True)


def test_a_run_can_be_moved_to_the_background(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(HELD)
    run_id = here.click(here.lenses()["Run"])
    here.began(run_id, "two")
    assert here.do("background", runId=run_id) == run_id
    here.status(run_id, "backgrounded")
    assert "Interrupt" in here.lenses()
    assert here.do("interrupt", runId=run_id) == run_id
    here.ended(run_id, "interrupted")


def test_a_script_with_unsaved_changes_runs_as_it_was_saved_and_says_so(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(GREEN)
    since = here.client.mark()
    here.ended(here.do("run", uri=here.uri), "completed")
    change = {"text": GREEN.replace("All is well", "All is new")}
    document = {"uri": here.uri, "version": 2}
    here.client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
    here.lenses()
    assert not [each for each in here.client.messages[since:] if each.get("method") == "window/showMessage"]
    run_id = here.do("run", uri=here.uri)
    assert here.message("build runs as it was saved")["type"] == 2
    here.ended(run_id, "completed")
    assert "All is well" in str(here.client.result("workflow/get", {"runId": run_id, "include": ["result"]}))


def test_the_report_of_a_deleted_run_is_deleted(tmp_path: Path, tmp_store_path: Path) -> None:
    with RawClient.spawn(store=tmp_store_path) as client:
        here = Editor(client, tmp_path / "w", FULL, trusted=True)
        here.open(GREEN)
        run_id = here.do("run", uri=here.uri)
        here.ended(run_id, "completed")
        here.do("showRun", runId=run_id)
        shown = here.asked("window/showDocument")
        here.answer(shown, {"success": True})
        path = Path(path_of_uri(shown["params"]["uri"])[0] or "")
        assert path.exists()
        client.result("workflow/delete", {"runId": run_id})
        # The file goes after the run, before the server does.
        assert client.shut_down() == 0
        assert not path.exists()


def test_the_same_is_offered_as_code_actions(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(GREEN)
    where = {"start": {"line": 3, "character": 0}, "end": {"line": 3, "character": 0}}
    params = {"textDocument": {"uri": here.uri}, "range": where, "context": {"diagnostics": []}}
    (action,) = here.client.result("textDocument/codeAction", params)
    assert (action["title"], action["kind"]) == ("Run: build.py", "sidestep")
    run_id = here.click(action["command"])
    here.ended(run_id, "completed")


def test_arguments_with_few_values_are_asked_for(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(ASKS)
    assert here.click(here.lenses()["Run"]) is None
    first = here.asked("window/showMessageRequest")
    assert [each["title"] for each in first["params"]["actions"]] == ["fast", "slow"]
    since = here.client.mark()
    here.answer(first, {"title": "slow"})
    second = here.client.expect(server_request("window/showMessageRequest"), since=since)
    since = here.client.mark()
    here.answer(second, {"title": "true"})
    told = here.client.expect(server_request("window/showMessageRequest"), since=since)
    assert told["params"]["message"] == "build completed: slow True"


def test_an_argument_that_cannot_be_asked_for_is_explained_and_nothing_runs(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(NEEDS_TEXT)
    assert here.click(here.lenses()["Run"]) is None
    assert "sidestep run build task=..." in here.message("it needs task (str)")["message"]
    assert here.client.result("workflow/list", {})["runs"] == []
    run_id = here.do("run", uri=here.uri, args={"task": "x"})
    here.ended(run_id, "completed")


def test_an_untrusted_folder_is_asked_about_and_remembered(editor: Callable[..., Editor]) -> None:
    here = editor(trusted=False)
    here.open(GREEN)
    assert here.click(here.lenses()["Run"]) is None
    question = here.asked("window/showMessageRequest")
    assert [each["title"] for each in question["params"]["actions"]] == ["Trust and run", "Not now"]
    assert here.client.result("workflow/list", {})["runs"] == []
    here.answer(question, {"title": "Trust and run"})
    here.client.expect(notification("workflow/statusChanged"))
    assert here.do("run", uri=here.uri)


def test_a_person_who_does_not_trust_a_folder_has_nothing_run(editor: Callable[..., Editor]) -> None:
    here = editor(trusted=False)
    here.open(GREEN)
    here.click(here.lenses()["Run"])
    here.answer(here.asked("window/showMessageRequest"), {"title": "Not now"})
    here.click(here.lenses()["Run"])
    assert here.client.result("workflow/list", {})["runs"] == []


def test_a_client_that_can_do_little_is_told_by_messages(editor: Callable[..., Editor]) -> None:
    here = editor({"window": {}})
    here.open(RED)
    run_id = here.click(here.lenses()["Run"])
    assert f"sidestep runs show {run_id}" in here.message("build failed")["message"]
    assert f"sidestep runs show {run_id}" in here.problem("step-failed")["message"]
    here.do("showRun", runId=run_id)
    here.message("See it with")
    methods = {message["method"] for message in here.client.messages if "method" in message}
    assert methods.isdisjoint(
        {
            "window/showDocument",
            "window/showMessageRequest",
            "window/workDoneProgress/create",
            "workspace/codeLens/refresh",
            "$/progress",
        }
    )


def test_a_client_that_refuses_the_question_is_told_what_to_do(editor: Callable[..., Editor]) -> None:
    here = editor(trusted=False)
    here.open(GREEN)
    here.click(here.lenses()["Run"])
    here.refuse(here.asked("window/showMessageRequest"))
    here.message("sidestep trust")


NONSENSE: list[tuple[Any, str, str]] = [
    ({"command": "sidestep.fly", "arguments": []}, "$.command", "sidestep.run"),
    ({"command": "sidestep.run"}, "$.arguments", '{"uri"'),
    ({"command": "sidestep.run", "arguments": ["x"]}, "$.arguments[0]", "`object`"),
    ({"command": "sidestep.run", "arguments": [{}]}, "$.arguments[0].uri", "required"),
    ({"command": "sidestep.interrupt", "arguments": [{"runId": 7}]}, "$.arguments[0].runId", "`str`"),
    ({"command": "sidestep.retry", "arguments": [{"runId": "x", "source": "new"}]}, "$.arguments[0].source", "current"),
]


def test_nonsense_is_answered_with_where_and_what(editor: Callable[..., Editor]) -> None:
    here = editor()
    for params, path, expected in NONSENSE:
        error = here.client.error("workspace/executeCommand", params)
        assert (error["code"], error["data"]["path"]) == (-32602, path)
        assert expected in error["data"]["expected"]
    assert here.do("resume", runId="run_none") == "run_none"
    here.message("run_none")
    assert here.do("run", uri="file:///nowhere/.sidestep/workflows/x.py") is None
    here.message("does not exist")


def test_agents_come_from_trusted_configuration_alone(tmp_path: Path, tmp_store_path: Path) -> None:
    text = 'from sidestep import agent\n\nasync def main():\n    await agent("x", id="x", agent="mime")\n'
    titles: dict[bool, list[str]] = {}
    for trusted in (False, True):
        with RawClient.spawn(store=tmp_store_path, env={"PATH": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"}) as client:
            here = Editor(client, tmp_path / str(trusted), FULL, trusted=trusted)
            config = '[agents.mine]\nkind = "cli"\ncommand = "true"\n'
            (here.folder / ".sidestep" / "config.toml").write_text(config)
            here.open(text)
            # By the time this is answered, what serves runs is there; the problems are told once more.
            client.result("workflow/list", {})
            problem = here.problem("unknown-agent")
            params = {"textDocument": {"uri": here.uri}, "range": problem["range"], "context": {"diagnostics": []}}
            params["context"]["only"] = ["quickfix"]
            titles[trusted] = [each["title"] for each in client.result("textDocument/codeAction", params)]
            assert client.shut_down() == 0
    assert titles == {False: [], True: ["Change to 'mine'"]}


def test_a_hover_tells_what_became_of_a_step(editor: Callable[..., Editor]) -> None:
    here = editor()
    here.open(RED)
    here.click(here.lenses()["Run"])
    here.problem("step-failed")
    where = {"textDocument": {"uri": here.uri}, "position": {"line": 3, "character": 12}}
    assert "`one`: completed" in here.client.result("textDocument/hover", where)["contents"]["value"]
    where["position"]["line"] = 4
    assert "will be done again" in here.client.result("textDocument/hover", where)["contents"]["value"]


def test_without_a_store_there_is_the_run_lens_and_a_message(tmp_path: Path) -> None:
    broken = tmp_path / "store.sqlite"
    broken.mkdir()
    server: AbstractContextManager[RawClient] = RawClient.spawn(store=broken)
    with server as client:
        here = Editor(client, tmp_path / "w", FULL, trusted=True)
        here.open(GREEN)
        assert list(here.lenses()) == ["Run"]
        assert here.click(here.lenses()["Run"]) is None
        assert here.client.expect(notification("window/showMessage"))


def _text_of(uri: str) -> str:
    path, why = path_of_uri(uri)
    assert path is not None, why
    return Path(path).read_text()

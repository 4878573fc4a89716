"""LSP's document methods on workflow scripts, over stdio: plain LSP, untrusted, with and without a store (D4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_startup_imports import EDITOR, imported
from tests.support.raw_client import RawClient, message_where, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PUBLISHED = "textDocument/publishDiagnostics"
# Beside them there are actions that run the script.
FIXES = {"diagnostics": [], "only": ["quickfix"]}
# The satellite is one character, two UTF-16 units: columns behind it show what is counted.
SOURCE = """\
from sidestep import agent, phase, workflow

async def main(task: str):
    phase("build")
    await agent("Fix the 🛰 bug")
    await workflow("child", id="child")
"""
CHILD = '"""The child."""\nasync def main(name: str):\n    return name\n'


def greet(client: RawClient, folder: Path, capabilities: dict[str, Any]) -> dict[str, Any]:
    """Shake hands as plain LSP does: no capability of ours, and no word about trust."""
    folders = [{"uri": folder.as_uri(), "name": folder.name}]
    hello = {"processId": None, "rootUri": None, "capabilities": capabilities, "workspaceFolders": folders}
    offered = client.result("initialize", hello)["capabilities"]
    assert offered["hoverProvider"] is True
    client.notify("initialized")
    return offered


class Editor:
    """One script open in a real server."""

    def __init__(self, client: RawClient, workspace: Path) -> None:
        self.client = client
        self.scripts = workspace / ".sidestep" / "workflows"
        self.scripts.mkdir(parents=True)
        (self.scripts / "child.py").write_text(CHILD)
        self.uri = (self.scripts / "build.py").as_uri()

    def open(self, text: str = SOURCE, *, version: int = 1, uri: str | None = None) -> None:
        item = {"uri": uri or self.uri, "languageId": "python", "version": version, "text": text}
        self.client.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, version: int, *changes: dict[str, Any]) -> None:
        document = {"uri": self.uri, "version": version}
        self.client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    def close(self) -> None:
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": self.uri}})

    def ask(self, feature: str, line: int | None = None, character: int = 0, **params: Any) -> Any:
        if line is not None:
            params["position"] = {"line": line, "character": character}
        return self.client.result(f"textDocument/{feature}", {"textDocument": {"uri": self.uri}, **params})

    def published(self, version: int | None) -> list[dict[str, Any]]:
        """The problems told of one version; None for those that take a closed document's down."""
        told = self.client.expect(
            message_where(
                lambda message: message.get("method") == PUBLISHED and message["params"].get("version") == version,
                f"diagnostics of version {version}",
            )
        )
        assert told["params"]["uri"] == self.uri
        return told["params"]["diagnostics"]


@pytest.fixture
def editor(tmp_path: Path, tmp_store_path: Path) -> Iterator[Editor]:
    """An editor without our capability, in a folder that nobody trusts."""
    with RawClient.spawn(store=tmp_store_path) as client:
        workspace = tmp_path / "work space"
        editor = Editor(client, workspace)
        greet(client, workspace, CAPABILITIES)
        yield editor
        assert client.shut_down() == 0


CAPABILITIES = {
    "textDocument": {"documentSymbol": {"hierarchicalDocumentSymbolSupport": True}},
    "workspace": {"workspaceEdit": {"documentChanges": True}},
}


def place(line: int, first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": line, "character": first}, "end": {"line": line, "character": last}}


def test_problems_follow_what_is_typed_and_go_when_it_is_closed(editor: Editor) -> None:
    editor.open()
    (missing,) = editor.published(1)
    assert (missing["code"], missing["severity"], missing["source"]) == ("missing-id", 1, "sidestep")
    assert missing["range"] == place(4, 10, 33)
    # Behind the satellite, in UTF-16; then half-typed; then whole again.
    editor.change(2, {"range": place(4, 32, 32), "text": ', id="fix"'})
    assert editor.published(2) == []
    editor.change(3, {"range": place(5, 0, 40), "text": "    await agent("})
    assert [problem["code"] for problem in editor.published(3)] == ["syntax"]
    editor.change(4, {"text": "x = 1\f\n"}, {"range": place(1, 0, 0), "text": "y = zzz\n"})
    assert "unknown-name" in {problem["code"] for problem in editor.published(4)}
    editor.close()
    assert editor.published(None) == []


@pytest.mark.parametrize(
    ("offered", "agreed", "satellite"),
    [(["utf-8", "utf-16"], "utf-8", 4), (["utf-16", "utf-8"], "utf-16", 2), (["utf-7", "utf-32"], "utf-32", 1)],
)
def test_columns_count_what_was_agreed(
    tmp_path: Path, tmp_store_path: Path, offered: list[str], agreed: str, satellite: int
) -> None:
    with RawClient.spawn(store=tmp_store_path) as client:
        editor = Editor(client, tmp_path / "w")
        greeted = greet(client, tmp_path / "w", {**CAPABILITIES, "general": {"positionEncodings": offered}})
        assert greeted["positionEncoding"] == agreed
        editor.open()
        (missing,) = editor.published(1)
        end = 31 + satellite
        assert missing["range"] == place(4, 10, end)
        editor.change(2, {"range": place(4, end - 1, end - 1), "text": ', id="fix"'})
        assert editor.published(2) == []
        # The contract's own methods count as the contract says it.
        told = client.result("workflow/validate", {"source": SOURCE})["diagnostics"]
        assert told[0]["range"] == place(4, 10, 33)
        assert client.shut_down() == 0


def test_a_quick_fix_mends_what_it_says(editor: Editor) -> None:
    editor.open(version=7)
    editor.published(7)
    (action,) = editor.ask("codeAction", range=place(4, 12, 12), context=FIXES)
    assert (action["title"], action["kind"], action["isPreferred"]) == ('Add id="fix-the"', "quickfix", True)
    (change,) = action["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": editor.uri, "version": 7}
    editor.change(8, *({"range": edit["range"], "text": edit["newText"]} for edit in change["edits"]))
    assert editor.published(8) == []
    elsewhere = {"range": place(3, 0, 0), "context": FIXES}
    assert editor.ask("codeAction", **elsewhere) == []
    only = {"range": place(4, 12, 12), "context": {"diagnostics": [], "only": ["refactor"]}}
    assert editor.ask("codeAction", **only) == []


def test_words_are_explained_and_completed(editor: Editor) -> None:
    editor.open()
    shown = editor.ask("hover", 4, 12)
    assert "Ask an agent" in shown["contents"]["value"]
    assert shown["range"] == place(4, 10, 15)
    assert "The child." in editor.ask("hover", 5, 22)["contents"]["value"]
    items = editor.ask("completion", 5, 20)["items"]
    labels = [item["label"] for item in items]
    assert "child" in labels
    assert "build" not in labels
    assert items[labels.index("child")]["textEdit"] == {"range": place(5, 20, 20), "newText": "child"}
    signature = editor.ask("signatureHelp", 4, 20)
    label, active = signature["signatures"][0]["label"], signature["activeParameter"]
    first, last = signature["signatures"][0]["parameters"][active]["label"]
    assert label[first:last] == "prompt"


def test_the_outline_has_phases_and_steps_in_their_functions(editor: Editor) -> None:
    editor.open()
    (main,) = editor.ask("documentSymbol")
    assert (main["name"], main["selectionRange"]["start"]) == ("main", {"line": 2, "character": 0})
    assert [child["name"] for child in main["children"]] == ["build", "Fix the 🛰 bug", "child"]
    for symbol in (main, *main["children"]):
        assert _places(symbol["range"])[0] <= _places(symbol["selectionRange"])[0]
        assert _places(symbol["selectionRange"])[1] <= _places(symbol["range"])[1], "LSP: the selection lies inside"


def _places(span: dict[str, Any]) -> list[tuple[int, int]]:
    return [(span[end]["line"], span[end]["character"]) for end in ("start", "end")]


def test_a_nested_workflow_leads_to_its_file_and_back(editor: Editor) -> None:
    editor.open()
    (target,) = editor.ask("definition", 5, 22)
    child = editor.scripts / "child.py"
    assert target == {"uri": child.as_uri(), "range": place(1, 10, 14)}
    (editor.scripts / "other.py").write_text(SOURCE.replace("🛰", "x"))
    found = editor.ask("references", 5, 22, context={"includeDeclaration": True})
    uris = [editor.uri, (editor.scripts / "other.py").as_uri(), child.as_uri()]
    assert [each["uri"] for each in found] == uris


def test_other_documents_get_nothing(editor: Editor) -> None:
    other = (editor.scripts.parent / "notes.py").as_uri()
    editor.open("await agent(", uri=other)
    hover = {"textDocument": {"uri": other}, "position": {"line": 0, "character": 8}}
    assert editor.client.result("textDocument/hover", hover) is None
    editor.open("from sidestep import agent\n")
    editor.published(1)
    assert [each["params"]["uri"] for each in editor.client.messages if each.get("method") == PUBLISHED] == [editor.uri]


def test_requests_sent_with_the_document_are_answered_in_order(editor: Editor) -> None:
    """All before pygls is loaded: none is lost, none sees an older text."""
    item = {"uri": editor.uri, "languageId": "python", "version": 1, "text": SOURCE}
    change = {"textDocument": {"uri": editor.uri, "version": 2}, "contentChanges": [{"text": SOURCE + "# end\n"}]}
    symbols = {"textDocument": {"uri": editor.uri}}
    number = editor.client.new_id()
    editor.client.send(
        {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": item}},
        {"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change},
        {"jsonrpc": "2.0", "id": number, "method": "textDocument/documentSymbol", "params": symbols},
    )
    (main,) = editor.client.expect(response_to(number))["result"]
    assert main["name"] == "main"
    assert len(editor.published(2)) == 1


def test_a_client_that_offers_little_gets_the_next_best(tmp_path: Path, tmp_store_path: Path) -> None:
    """Flat symbols, unversioned edits, plain text."""
    with RawClient.spawn(store=tmp_store_path) as client:
        editor = Editor(client, tmp_path)
        greet(client, tmp_path, {"textDocument": {"hover": {"contentFormat": ["plaintext"]}}})
        editor.open()
        symbols = editor.ask("documentSymbol")
        assert [(each["name"], each.get("containerName")) for each in symbols][:2] == [
            ("main", None),
            ("build", "main"),
        ]
        (action,) = editor.ask("codeAction", range=place(4, 12, 12), context=FIXES)
        assert list(action["edit"]["changes"]) == [editor.uri]
        shown = editor.ask("hover", 4, 12)["contents"]
        assert shown["kind"] == "plaintext"
        assert "`" not in shown["value"]


def test_scripts_are_checked_without_a_store(tmp_path: Path) -> None:
    """C4: a store that cannot be opened costs no static feature."""
    broken = tmp_path / "store.sqlite"
    broken.mkdir()
    with RawClient.spawn(store=broken) as client:
        editor = Editor(client, tmp_path / "work")
        greet(client, tmp_path / "work", CAPABILITIES)
        editor.open()
        assert [problem["code"] for problem in editor.published(1)] == ["missing-id"]
        assert "Ask an agent" in editor.ask("hover", 4, 12)["contents"]["value"]


def test_the_language_side_is_loaded_with_pygls_and_not_before(tmp_path: Path) -> None:
    imported(tmp_path, capabilities={})
    before = imported(tmp_path, {"method": "initialized", "params": {}}, capabilities=EDITOR, until_id=1)
    assert [module for module in before if module.startswith("sidestep.language")] == []
    with RawClient.spawn(store=tmp_path / "runs.db", env={"PYTHONPROFILEIMPORTTIME": "1"}) as client:
        editor = Editor(client, tmp_path)
        greet(client, tmp_path, CAPABILITIES)
        editor.open()
        assert editor.ask("hover", 4, 12)
        assert client.shut_down() == 0
        client.wait_stdout_end()
        assert "sidestep.language.hover" in client.stderr


def test_scripts_of_the_users_own_folder_are_served(tmp_path: Path, tmp_store_path: Path) -> None:
    with RawClient.spawn(store=tmp_store_path, env={"XDG_CONFIG_HOME": str(tmp_path / "config")}) as client:
        editor = Editor(client, tmp_path / "work")
        greet(client, tmp_path / "work", CAPABILITIES)
        editor.uri = (tmp_path / "config" / "sidestep" / "workflows" / "mine.py").as_uri()
        editor.open()
        assert [problem["code"] for problem in editor.published(1)] == ["missing-id"]


def test_diagnostics_are_told_to_a_client_that_announced_nothing(tmp_path: Path, tmp_store_path: Path) -> None:
    with RawClient.spawn(store=tmp_store_path) as client:
        editor = Editor(client, tmp_path)
        greet(client, tmp_path, {})
        editor.open()
        told = client.expect(notification(PUBLISHED))
        assert told["params"]["uri"] == editor.uri

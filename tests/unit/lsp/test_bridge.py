"""pygls behind our own wire: document sync works, order holds, and every request is answered once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from sidestep.lsp.bridge import DOCUMENT_METHODS, PyglsBridge
from sidestep.rpc.errors import RpcError, wire_error
from tests.unit.rpc.memory_wire import MemoryWire
from tests.unit.rpc.test_session import check_error

URI = "file:///work%20space/script.py"
POSITION = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 0}}
# An initialize whose client would rather count in UTF-8 and UTF-32.
INITIALIZE = {
    "processId": None,
    "rootUri": None,
    "capabilities": {"general": {"positionEncodings": ["utf-8", "utf-32"]}},
    "workspaceFolders": [{"uri": "file:///work%20space", "name": "work space"}],
}


def did_open(text: str) -> dict[str, Any]:
    document = {"uri": URI, "languageId": "python", "version": 1, "text": text}
    return {"method": "textDocument/didOpen", "params": {"textDocument": document}}


def did_change(version: int, *changes: dict[str, Any]) -> dict[str, Any]:
    params = {"textDocument": {"uri": URI, "version": version}, "contentChanges": list(changes)}
    return {"method": "textDocument/didChange", "params": params}


def change(start: int, end: int, text: str) -> dict[str, Any]:
    positions = ({"line": 0, "character": start}, {"line": 0, "character": end})
    return {"range": {"start": positions[0], "end": positions[1]}, "text": text}


async def connect(initialize: Any = None, encoding: str = "utf-16", **features: Any) -> tuple[MemoryWire, PyglsBridge]:
    """A session in front of a bridge with these features (`hover=...` serves `textDocument/hover`)."""
    bridge = PyglsBridge(name="test", version="1")
    for name, handler in features.items():
        bridge.feature(f"textDocument/{name}", handler)
    wire = MemoryWire(fallback=bridge)
    bridge.connect(wire.session)
    params = msgspec.Raw(msgspec.json.encode(INITIALIZE if initialize is None else initialize))
    bridge.initialize(params, encoding)
    return await wire.ready(), bridge


@pytest.mark.slow
async def test_documents_are_kept_in_sync_from_the_first_one_on() -> None:
    wire, bridge = await connect()
    assert not bridge.is_loaded
    # All in one write: what comes while pygls is loaded is fed to it in order.
    wire.send(did_open("hello world"), did_change(2, change(0, 5, "bye"), change(0, 1, "B")))
    await wire.fence()
    assert await bridge.document_text(URI) == "Bye world"
    wire.send(did_change(3, {"text": "all new"}))
    await wire.fence()
    assert await bridge.document_text(URI) == "all new"
    wire.send({"method": "textDocument/didClose", "params": {"textDocument": {"uri": URI}}})
    await wire.fence()
    assert await bridge.document_text(URI) is None
    await bridge.aclose()


@pytest.mark.parametrize(("encoding", "face"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
@pytest.mark.parametrize("initialize", [INITIALIZE, {"capabilities": 5}])
async def test_positions_are_what_our_reply_says_whatever_the_client_offers(
    encoding: str, face: int, initialize: Any
) -> None:
    """The face is four bytes, two units, one character."""
    wire, bridge = await connect(initialize, encoding)
    wire.send(did_open("\U0001f600 face"), did_change(2, change(face + 1, face + 5, "smile")))
    await wire.fence()
    assert await bridge.document_text(URI) == "\U0001f600 smile"


async def test_text_with_lone_surrogates_is_kept() -> None:
    wire, bridge = await connect()
    wire.send(did_open("a\ud800b"))
    await wire.fence()
    assert await bridge.document_text(URI) == "a\ud800b"


@pytest.mark.parametrize("initialize", [{}, [], {"capabilities": 5, "workspaceFolders": "x"}, None])
async def test_initialize_params_that_pygls_refuses_do_not_cost_the_documents(initialize: Any) -> None:
    wire, bridge = await connect(initialize=initialize)
    wire.send(did_open("text"))
    await wire.fence()
    assert await bridge.document_text(URI) == "text"


async def test_garbage_in_a_notification_is_ignored_and_shown_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    wire, bridge = await connect()
    before = len(wire.sent)
    wire.send(
        {"method": "textDocument/didOpen"},
        {"method": "textDocument/didOpen", "params": [1]},
        did_change(5, change(0, 1, "no such document")),
        did_open("good"),
    )
    await wire.fence()
    assert await bridge.document_text(URI) == "good"
    assert [m for m in wire.sent[before:] if "method" in m] == []


async def hover(params: Any) -> Any:
    return {"contents": f"{params.text_document.uri} {params.position.line}"}


async def test_a_feature_is_served_once_loaded_and_unknown_ones_are_refused() -> None:
    wire, bridge = await connect(hover=hover)
    assert bridge.serves("textDocument/hover")
    assert (await wire.ask("textDocument/hover", POSITION))["result"] == {"contents": f"{URI} 0"}
    check_error(await wire.ask("textDocument/definition", POSITION), -32601, "methodNotFound")
    check_error(await wire.ask("workspace/executeCommand", {"command": "x"}), -32601, "methodNotFound")


async def test_an_unknown_method_does_not_load_pygls() -> None:
    wire, bridge = await connect()
    check_error(await wire.ask("textDocument/hover", POSITION), -32601, "methodNotFound")
    wire.send({"method": "$/setTrace", "params": {"value": "off"}}, {"method": "textDocument/didSave", "params": {}})
    await wire.fence()
    assert not bridge.is_loaded


@pytest.mark.parametrize(
    ("params", "path"),
    [
        (None, "$.textDocument"),
        ({"textDocument": {"uri": 5}, "position": {"line": "x", "character": 0}}, "$.position.line"),
        ({"textDocument": {"uri": URI}}, "$.position"),
        ([], "$.textDocument"),
        ("x", "$"),
    ],
)
async def test_params_that_are_not_lsp_are_answered_with_path_and_expectation(params: Any, path: str) -> None:
    wire, _ = await connect(hover=hover)
    wire.send({"id": "h", "method": "textDocument/hover", "params": params})
    data = check_error(await wire.response("h"), -32602, "invalidParams")
    assert data["path"].startswith(path)
    assert data["expected"]


async def test_a_result_null_is_answered() -> None:
    async def nothing(params: Any) -> Any:
        return None

    wire, _ = await connect(hover=nothing)
    answer = await wire.ask("textDocument/hover", POSITION)
    assert answer["result"] is None


@pytest.mark.parametrize("how", ["raises", "unserialisable", "nan"])
async def test_a_failing_feature_is_answered_without_its_secrets(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def failing(params: Any) -> Any:
        if how == "raises":
            raise ValueError("secret /home/somebody")
        return object() if how == "unserialisable" else {"contents": float("nan")}

    wire, _ = await connect(hover=failing)
    before = len(wire.sent)
    answer = await wire.ask("textDocument/hover", POSITION)
    check_error(answer, -32603, "internal")
    assert "secret" not in str(answer)
    assert "Traceback" not in str(answer)
    await wire.fence()
    assert len(wire.sent) == before + 2


async def test_a_feature_may_say_its_error_itself() -> None:
    async def refusing(params: Any) -> Any:
        raise RpcError(wire_error("scriptNotFound", "no such script", near=["a"]))

    wire, _ = await connect(hover=refusing)
    assert check_error(await wire.ask("textDocument/hover", POSITION), -31008, "scriptNotFound")["near"] == ["a"]


async def test_a_cancelled_feature_stops_and_is_answered_once() -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    async def slow(params: Any) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    wire, _ = await connect(hover=slow)
    wire.send({"id": "h", "method": "textDocument/hover", "params": POSITION})
    await started.wait()
    wire.send({"method": "$/cancelRequest", "params": {"id": "h"}})
    check_error(await wire.response("h"), -32800, "requestCancelled")
    await stopped.wait()
    await wire.fence()
    assert len(wire.responses("h")) == 1


async def test_a_request_cancelled_while_pygls_is_loaded_never_reaches_it() -> None:
    called: list[Any] = []

    async def slow(params: Any) -> Any:
        called.append(params)

    wire, bridge = await connect(hover=slow)
    wire.send({"id": "h", "method": "textDocument/hover", "params": POSITION})
    await wire.fence()
    wire.send({"method": "$/cancelRequest", "params": {"id": "h"}})
    check_error(await wire.response("h"), -32800, "requestCancelled")
    await bridge.warm_up()
    await wire.fence()
    assert called == []


async def test_requests_of_pygls_go_out_under_ids_of_ours_and_their_answers_come_back() -> None:
    """W25, also: an answer that does not fit, and an error."""
    bridge: PyglsBridge

    async def asking(params: Any) -> Any:
        from lsprotocol.types import ConfigurationItem, ConfigurationParams

        assert bridge._server is not None  # pyright: ignore[reportPrivateUsage]
        answers: list[Any] = []
        for _ in range(3):
            try:
                configuration = ConfigurationParams(items=[ConfigurationItem(section="sidestep")])
                answers.append(
                    await bridge._server.protocol.send_request_async("workspace/configuration", configuration)
                )
            except Exception as error:
                answers.append(type(error).__name__)
        return {"contents": str(answers)}

    wire, bridge = await connect(hover=asking)
    wire.send({"id": "h", "method": "textDocument/hover", "params": POSITION})
    for number, answer in enumerate([{"result": [1]}, {"result": 5}, {"error": {"code": 1, "message": "no"}}]):
        asked = await wire.message(lambda m, n=number: m.get("id") == f"sidestep-{n + 1}")
        assert asked["method"] == "workspace/configuration"
        wire.send({"id": asked["id"], **answer})
    contents = (await wire.response("h"))["result"]["contents"]
    assert contents == "[(1,), 'JsonRpcException', 'JsonRpcException']"


async def test_notifications_of_pygls_go_out() -> None:
    bridge: PyglsBridge

    async def telling(params: Any) -> Any:
        assert bridge._server is not None  # pyright: ignore[reportPrivateUsage]
        bridge._server.protocol.notify("test/told", {"n": 1})
        return None

    wire, bridge = await connect(hover=telling)
    await wire.ask("textDocument/hover", POSITION)
    assert [m["params"] for m in wire.sent if m.get("method") == "test/told"] == [{"n": 1}]


async def test_a_pygls_that_cannot_be_loaded_is_told_to_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sidestep.lsp.pygls_server", None)
    wire, bridge = await connect(hover=hover)
    for _ in range(2):
        check_error(await wire.ask("textDocument/hover", POSITION), -32603, "internal")
    wire.send(did_open("x"))
    await wire.fence()
    assert await bridge.document_text(URI) is None
    await bridge.aclose()


async def test_the_bridge_serves_every_document_method_pygls_has() -> None:
    _, bridge = await connect()
    await bridge.warm_up()
    assert bridge._server is not None  # pyright: ignore[reportPrivateUsage]
    builtin = set(bridge._server.protocol.fm.builtin_features)
    ours = {"initialize", "initialized", "shutdown", "exit", "$/setTrace", "window/workDoneProgress/cancel"}
    assert builtin - ours - {"workspace/executeCommand"} == set(DOCUMENT_METHODS)


@pytest.mark.slow
def test_pygls_is_not_imported_with_the_bridge() -> None:
    code = "import sys; import sidestep.lsp.bridge, sidestep.rpc.session; sys.exit('pygls' in sys.modules)"
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})

"""
An independent LSP client: pygls' own, as pytest-lsp ships it, with the capabilities real editors announce.

Handshake, document sync, a request of ours and the way out; it checks what it is sent against LSP's types. For more it
does not do: its waits for notifications have no queue.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types

from tests.support.raw_client import REPOSITORY, SERVE

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_lsp import LanguageClient

# Its plugin and pytest-asyncio's, which it brings, are switched off in pyproject.toml: the client alone is wanted, and
# `async def` tests are run by tests/conftest.py.
pytest_lsp = pytest.importorskip("pytest_lsp")

pytestmark = pytest.mark.slow

PATIENCE_S = 30
SOUND = "from sidestep import command\n\nasync def main():\n    return await command(['ls'], id='ls')\n"


async def connect(store: Path) -> LanguageClient:
    paths = os.pathsep.join(str(REPOSITORY / folder) for folder in ("server", "protocol"))
    environment = {**os.environ, "PYTHONPATH": paths}
    client = await pytest_lsp.ClientServerConfig(
        server_command=[*SERVE, f"--store={store}"], server_env=environment
    ).start()
    assert isinstance(client, pytest_lsp.LanguageClient)
    return client


async def shake_hands(client: LanguageClient, editor: str, folder: Path) -> types.InitializeResult:
    params = types.InitializeParams(
        capabilities=pytest_lsp.client_capabilities(editor),
        process_id=os.getpid(),
        workspace_folders=[types.WorkspaceFolder(uri=folder.as_uri(), name=folder.name)],
    )
    return await client.initialize_session(params)


def version_of(version: int, uri: str) -> types.VersionedTextDocumentIdentifier:
    return types.VersionedTextDocumentIdentifier(version=version, uri=uri)


async def edit(client: LanguageClient, uri: str) -> None:
    """Open a document, insert a character outside the first plane, delete it again, replace the whole text, close."""
    item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=SOUND)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    start = types.Position(line=0, character=0)
    changes: list[tuple[int, types.TextDocumentContentChangeEvent]] = [
        (2, types.TextDocumentContentChangePartial(range=types.Range(start=start, end=start), text="# 🛰\n")),
        (3, types.TextDocumentContentChangePartial(range=types.Range(start, types.Position(1, 0)), text="")),
        (4, types.TextDocumentContentChangeWholeDocument(text=SOUND)),
    ]
    for version, change in changes:
        client.text_document_did_change(
            types.DidChangeTextDocumentParams(text_document=version_of(version, uri), content_changes=[change])
        )
    closed = types.TextDocumentIdentifier(uri=uri)
    client.text_document_did_close(types.DidCloseTextDocumentParams(text_document=closed))


async def validate(client: LanguageClient, source: str) -> Any:
    return (await client.protocol.send_request_async("workflow/validate", {"source": source})).diagnostics


@pytest.mark.parametrize("editor", ["visual-studio-code", "neovim", "emacs"])
async def test_handshake_document_sync_and_goodbye(editor: str, tmp_path: Path, tmp_store_path: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        client = await connect(tmp_store_path)
        try:
            result = await shake_hands(client, editor, tmp_path)
            assert result.server_info is not None
            assert result.server_info.name == "sidestep"
            sync = result.capabilities.text_document_sync
            assert isinstance(sync, types.TextDocumentSyncOptions)
            assert (sync.open_close, sync.change) == (True, types.TextDocumentSyncKind.Incremental)

            await edit(client, (tmp_path / "flow.py").as_uri())
            assert await validate(client, SOUND) == []
            (found,) = await validate(client, SOUND.replace(", id='ls'", ""))
            assert (found.range.start.line, found.severity, found.source) == (3, 1, "sidestep")

            assert (client.error, client.messages) == (None, [])
            await client.shutdown_session()
        finally:
            server = client._server
            assert server is not None
            if server.returncode is None:
                server.kill()
            await client.stop()
    # pygls tells `exit` after the answer to `shutdown`.
    assert server.returncode == 0

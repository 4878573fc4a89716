"""
What is served of LSP for workflow scripts: the methods, and how the initialize reply names them.

Imported before that reply, so it imports nothing.
"""

from __future__ import annotations

from typing import Any

# Requests that `language_methods.py` answers; what it hears of documents are the bridge's own methods.
LANGUAGE_METHODS = frozenset(
    {
        "textDocument/codeAction",
        "textDocument/completion",
        "textDocument/definition",
        "textDocument/documentSymbol",
        "textDocument/hover",
        "textDocument/references",
        "textDocument/signatureHelp",
    }
)


def language_capabilities() -> dict[str, Any]:
    """The server's capabilities for them."""
    return {
        "codeActionProvider": {"codeActionKinds": ["quickfix"]},
        "completionProvider": {"triggerCharacters": ["(", ",", "=", '"', "'"]},
        "definitionProvider": True,
        "documentSymbolProvider": True,
        "hoverProvider": True,
        "referencesProvider": True,
        "signatureHelpProvider": {"triggerCharacters": ["(", ","], "retriggerCharacters": ["="]},
    }

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
        "textDocument/codeLens",
        "textDocument/completion",
        "textDocument/definition",
        "textDocument/documentSymbol",
        "textDocument/hover",
        "textDocument/references",
        "textDocument/signatureHelp",
    }
)

# What `run_commands.py` carries out. Some editors send no command that was not announced.
COMMANDS = (
    *("sidestep.run", "sidestep.interrupt", "sidestep.resume", "sidestep.retry", "sidestep.background"),
    "sidestep.showRun",
)
# The kind of the code actions that run something: none that an editor does by itself on saving.
RUN_ACTION = "sidestep"


def language_capabilities() -> dict[str, Any]:
    """The server's capabilities for them."""
    return {
        "codeActionProvider": {"codeActionKinds": ["quickfix", RUN_ACTION]},
        "codeLensProvider": {"resolveProvider": False},
        "completionProvider": {"triggerCharacters": ["(", ",", "=", '"', "'"]},
        "definitionProvider": True,
        "documentSymbolProvider": True,
        "executeCommandProvider": {"commands": list(COMMANDS)},
        "hoverProvider": True,
        "referencesProvider": True,
        "signatureHelpProvider": {"triggerCharacters": ["(", ","], "retriggerCharacters": ["="]},
    }

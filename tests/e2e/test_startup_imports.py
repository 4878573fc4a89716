"""
What is imported before the initialize reply: the host waits for it, so nothing heavy may be.

The server runs with `-X importtime`, which tells each import on stderr as it ends. Replies and imports go into one
pipe, so that what stands before a reply was imported before it: no stopwatch, and no moment that has to be hit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.framing import encode_frame
from tests.support.raw_client import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# Loaded where they are first needed, or in the background after the reply. `ssl` itself is told when it is kept away.
FORBIDDEN = frozenset(
    {
        *(
            "acp",
            "attrs",
            "cattrs",
            "click",
            "jsonschema_rs",
            "lsprotocol",
            "psutil",
            "pydantic_monty",
            "pygls",
            "rich",
        ),
        # The standard library's and others' that cost more than a millisecond and are not asyncio's or msgspec's own.
        *("_ssl", "configparser", "difflib", "email", "hashlib", "json", "pathlib", "platformdirs", "shutil"),
        *("rich", "tempfile", "tomllib", "urllib"),
    }
)
FORBIDDEN_MODULES = frozenset(
    {
        *("importlib.metadata", "sidestep.app", "sidestep.model.errors", "sidestep.model.run"),
        *("sidestep.lsp.notifier", "sidestep.lsp.workflow_side", "sidestep.rpc.diagnosis", "sidestep.store.sqlite"),
        *("sidestep_protocol.methods", "sidestep_protocol.workflow"),
    }
)
# Whole packages of ours of which not one module may be imported.
FORBIDDEN_PARTS = (
    *("sidestep.engine", "sidestep.executors", "sidestep.language", "sidestep.runtime", "sidestep.scripts"),
    "sidestep.service",
)
# Never: what a host without documents does not pay for at all.
NEVER = frozenset(
    {
        *("_hashlib", "_lzma", "_ssl", "attrs", "cattrs", "click", "difflib", "lsprotocol", "platformdirs", "pygls"),
        *("rich", "tempfile"),
    }
)
# Of ours: what only commands, reports, lenses and hosts that do tasks need.
NEVER_MODULES = frozenset(
    {
        *("sidestep.language.lenses", "sidestep.language.surroundings", "sidestep.lsp.host_agent"),
        *("sidestep.lsp.plain_editor", "sidestep.lsp.run_commands"),
    }
)
# 199 when this was written: a dependency that comes in at the side shows here.
MODULES_MAX = 215

EDITOR = {"textDocument": {"synchronization": {"didSave": True}}}
HOST = {"experimental": {"workflow": {"protocolVersions": [1]}}}


def imported(
    folder: Path, *messages: dict[str, Any], capabilities: dict[str, Any], until_id: int | None = None
) -> set[str]:
    """
    The modules that a session of initialize, these messages, shutdown and exit imports.

    Args:
        until_id: Only those before the answer under this id.
    """
    hello = {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities}
    said: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        *messages,
        {"id": 9, "method": "shutdown"},
        {"method": "exit"},
    ]
    frames = b"".join(encode_frame(json.dumps({"jsonrpc": "2.0", **message}).encode()) for message in said)
    serve = (sys.executable, "-X", "importtime", "-m", "sidestep", "serve", f"--store={folder / 'runs.db'}")
    paths = os.pathsep.join(str(REPOSITORY / source) for source in ("server", "protocol"))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        serve, input=frames, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=60, check=True
    )
    told = done.stdout.decode()
    if until_id is not None:
        answer = f'{{"jsonrpc":"2.0","id":{until_id},"result":'
        assert answer in told, told
        told = told.partition(answer)[0]
    modules = {line.rpartition("|")[2].strip() for line in told.splitlines() if "import time:" in line}
    assert "sidestep.lsp.connection" in modules, "nothing was told, so nothing can be said"
    return modules


def packages_of(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_nothing_heavy_is_imported_before_the_initialize_reply(tmp_path: Path) -> None:
    # The first process makes the store: only opening it can tell its id.
    imported(tmp_path, capabilities={})
    modules = imported(tmp_path, capabilities=EDITOR, until_id=1)
    assert packages_of(modules).isdisjoint(FORBIDDEN), sorted(packages_of(modules) & FORBIDDEN)
    assert modules.isdisjoint(FORBIDDEN_MODULES), sorted(modules & FORBIDDEN_MODULES)
    heavy = {module for module in modules if module.startswith(FORBIDDEN_PARTS)}
    assert not heavy, sorted(heavy)
    assert len(modules) <= MODULES_MAX, sorted(modules)


def test_everything_is_loaded_for_the_first_request(tmp_path: Path) -> None:
    """What the other test says is absent shows when it is there."""
    modules = imported(tmp_path, {"id": 2, "method": "workflow/health"}, capabilities=HOST, until_id=2)
    assert {"sidestep.engine.runner", "sidestep.store.sqlite", "sidestep.lsp.notifier"} <= modules


def test_a_host_without_documents_does_not_pay_for_pygls(tmp_path: Path) -> None:
    health = {"id": 2, "method": "workflow/health"}
    modules = imported(tmp_path, {"method": "initialized", "params": {}}, health, capabilities=HOST)
    assert packages_of(modules).isdisjoint(NEVER), sorted(packages_of(modules) & NEVER)
    assert modules.isdisjoint(NEVER_MODULES), sorted(modules & NEVER_MODULES)


def test_what_a_plain_editor_needs_is_loaded_for_its_first_command(tmp_path: Path) -> None:
    """What the other test says is absent shows when it is there."""
    command = {"command": "sidestep.showRun", "arguments": [{"runId": "run_none"}]}
    order = {"id": 2, "method": "workspace/executeCommand", "params": command}
    modules = imported(tmp_path, {"method": "initialized", "params": {}}, order, capabilities={}, until_id=2)
    assert modules >= NEVER_MODULES - {"sidestep.lsp.host_agent"}


def test_an_editor_finds_pygls_loading_once_it_is_initialized(tmp_path: Path) -> None:
    """What the other two say is absent shows when it is there."""
    modules = imported(tmp_path, {"method": "initialized", "params": {}}, capabilities=EDITOR)
    assert packages_of(modules) & {"lsprotocol", "pygls"}

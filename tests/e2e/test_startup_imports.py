"""
What is imported before the initialize reply: the host waits for it, so nothing heavy may be.

The server runs with `-X importtime`, which tells each import on stderr as it ends. A whole session that only
initializes may import nothing heavy, so no moment of it has to be told from another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.framing import Frame, FrameReader, encode_frame
from tests.support.raw_client import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# Each is loaded where it is first needed: importing one takes 2 to 30 times as long as starting Python.
FORBIDDEN = frozenset(
    {"acp", "attrs", "cattrs", "click", "jsonschema_rs", "lsprotocol", "psutil", "pydantic_monty", "pygls", "rich"}
)
# 375 to 385 when this was written: a dependency that comes in at the side shows here.
MODULES_MAX = 400

EDITOR = {"textDocument": {"synchronization": {"didSave": True}}}


def imported(folder: Path, *notifications: str, capabilities: dict[str, Any]) -> set[str]:
    """The modules that a session of initialize, these notifications, shutdown and exit imports."""
    hello = {"processId": None, "rootUri": None, "capabilities": capabilities}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        *({"method": method, "params": {}} for method in notifications),
        {"id": 2, "method": "shutdown"},
        {"method": "exit"},
    ]
    said = b"".join(encode_frame(json.dumps({"jsonrpc": "2.0", **message}).encode()) for message in messages)
    serve = (sys.executable, "-X", "importtime", "-m", "sidestep", "serve", f"--store={folder / 'runs.db'}")
    paths = os.pathsep.join(str(REPOSITORY / source) for source in ("server", "protocol"))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(serve, input=said, capture_output=True, env=environment, timeout=60, check=True)
    bodies = [json.loads(item.body) for item in FrameReader().feed(done.stdout) if isinstance(item, Frame)]
    assert "serverInfo" in next(body["result"] for body in bodies if body.get("id") == 1), bodies
    lines = done.stderr.decode().splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "sidestep.lsp.connection" in modules, "nothing was told, so nothing can be said"
    return modules


def packages_of(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_nothing_heavy_is_imported_before_the_initialize_reply(tmp_path: Path) -> None:
    modules = imported(tmp_path, capabilities={})
    assert packages_of(modules).isdisjoint(FORBIDDEN), sorted(packages_of(modules) & FORBIDDEN)
    assert len(modules) <= MODULES_MAX, sorted(modules)


def test_a_host_without_documents_does_not_pay_for_pygls(tmp_path: Path) -> None:
    modules = imported(tmp_path, "initialized", capabilities={"experimental": {"workflow": {"protocolVersions": [1]}}})
    assert packages_of(modules).isdisjoint(FORBIDDEN), sorted(packages_of(modules) & FORBIDDEN)


def test_an_editor_finds_pygls_loading_once_it_is_initialized(tmp_path: Path) -> None:
    """What the other two say is absent shows when it is there."""
    assert packages_of(imported(tmp_path, "initialized", capabilities=EDITOR)) & {"lsprotocol", "pygls"}

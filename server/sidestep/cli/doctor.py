"""`sidestep doctor`: is everything there that Sidestep needs, which agents and editors are, and where are its files."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidestep.app import VERSION, Application
from sidestep.cli.agent_findings import agent_findings
from sidestep.cli.exits import Exit
from sidestep.cli.finding import Finding
from sidestep.cli.logs import incident_log
from sidestep.cli.opening import opened, workspace
from sidestep.cli.options import store_option
from sidestep.cli.terminal_text import printable, table
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import SidestepError, StoreUnavailable, WorkspaceInvalid
from sidestep.model.run import RunStatus
from sidestep.scripts.agent_config import USER_FILE
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import StartRequest
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON_MIN = (3, 11)
_GIT_S_MAX = 10
_EDITORS = ("code", "nvim", "emacs", "hx")
_PROBE = "async def main():\n    return 'the sandbox runs'\n"


@click.command(short_help="Check that Sidestep can work here.", epilog="Example: sidestep doctor --paths")
@click.option("--paths", is_flag=True, help="Only print where Sidestep keeps things.")
@store_option
def doctor(paths: bool, store: str | None) -> int:
    """Check that Sidestep can work here, and say what to do where it cannot."""
    if paths:
        for line in table([[what, str(path)] for what, path in paths_of(store, os.environ).items()]):
            click.echo(printable(line))
        return Exit.COMPLETED
    findings = asyncio.run(_examine(store))
    for finding in findings:
        click.echo(printable(f"{finding.mark}  {finding.what}: {finding.found}"))
        if finding.todo is not None:
            click.echo(printable(f"    {finding.todo}"))
    return next((finding.exit for finding in findings if finding.mark == "!!"), Exit.COMPLETED)


def paths_of(store: str | None, environ: Mapping[str, str]) -> dict[str, Path]:
    """Where things are, or will be once they are needed. Nothing is made."""
    app = Application(Settings(), store, environ)
    location = app.location
    return {
        "store": location.database,
        "outputs": location.outputs,
        "results": location.results,
        "worktrees": location.worktrees,
        "owners": location.owners,
        "trust": app.trust_path,
        "your workflows": app.user_workflows,
        "your agents": user_configuration(app),
        "incidents": incident_log(environ),
    }


def user_configuration(app: Application) -> Path:
    """The user's own `config.toml`."""
    return app.user_workflows.with_name(USER_FILE)


async def _examine(store: str | None) -> list[Finding]:
    needed = [_python(), _git(), await _store(store), await _sandbox()]
    return [*needed, *await _agents(store), _editors()]


async def _agents(store: str | None) -> list[Finding]:
    app = Application(Settings(), store, os.environ)
    try:
        folder = workspace(None)
    except WorkspaceInvalid as error:
        return [Finding("agents", str(error), "Go to another folder and try again.")]
    return await agent_findings(user_configuration(app), folder, app.library.is_trusted, os.environ)


def _python() -> Finding:
    found = f"Sidestep {VERSION} on Python {platform.python_version()} ({sys.executable})"
    too_old = sys.version_info[:2] < PYTHON_MIN
    return Finding("python", found, "Install Python 3.11 or newer." if too_old else None)


def _git() -> Finding:
    git = shutil.which("git")
    todo = "Install git: repo-report and many workflows call it."
    if git is None:
        return Finding("git", "not on PATH", todo)
    try:
        said = subprocess.run([git, "--version"], capture_output=True, text=True, timeout=_GIT_S_MAX, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", f"{git} does not work: {error}", todo)
    return Finding("git", f"{said.stdout.strip()} ({git})")


async def _store(store: str | None) -> Finding:
    try:
        async with opened(store) as app:
            health = await (await app.service()).health()
    except StoreUnavailable as error:
        return Finding("store", error.what, error.todo, Exit.STORE)
    return Finding("store", f"{health['storePath']} ({health['storeBytes']} bytes)")


async def _sandbox() -> Finding:
    """Run a script that does nothing, in a store and a folder of its own."""
    todo = "Install Sidestep again with its pinned requirements; if that does not help, this machine cannot run it."
    with tempfile.TemporaryDirectory(prefix="sidestep-doctor-", ignore_cleanup_errors=True) as place:
        app = Application(Settings(), Path(place, "store.db"), os.environ)
        folder = FolderKey.existing(place)
        app.library.trust_for_session([folder])
        try:
            request = StartRequest(script=InlineScript(_PROBE), args={}, folder=folder, auto_resume=False)
            record = (await (await app.service()).start(request, AbortController().signal)).record
        except SidestepError as error:
            return Finding("sandbox", str(error), todo)
        finally:
            await app.close(AbortReason(AbortKind.SHUTDOWN, by="doctor"))
    if record.status is not RunStatus.COMPLETED:
        return Finding("sandbox", record.error.message if record.error else record.status.value, todo)
    return Finding("sandbox", "a script runs in it")


def _editors() -> Finding:
    found = [(name, shutil.which(name)) for name in _EDITORS]
    told = ", ".join(f"{name} ({path})" for name, path in found if path is not None)
    if told:
        return Finding("editors", told)
    todo = "None is needed: `sidestep run` works in a terminal. The editors' setup is in editors/README.md."
    return Finding("editors", f"none of {', '.join(_EDITORS)} is on PATH", todo, is_needed=False)

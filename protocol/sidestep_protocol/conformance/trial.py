"""
What one check works with: a workspace, servers on it, and workflows to run there.

Owns the servers and files of a check, and the server that checks share. Knows the requests that start and follow runs.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance import scripts
from sidestep_protocol.conformance.gate import Gate
from sidestep_protocol.conformance.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep_protocol.conformance.check import Check

# How long a server has for anything it owes us, with a patience of 1.
ANSWER_S = 10.0


@dataclass(frozen=True)
class Setting:
    """
    What all checks of one run of the kit have in common.

    Attributes:
        command: Starts the server, as given.
        home: A folder (its real path) for everything: workspaces, and the state of servers that name no store.
        patience: Factor for every limit of time.
    """

    command: Sequence[str]
    home: Path
    patience: float

    @property
    def answer_s(self) -> float:
        return ANSWER_S * self.patience

    def environment(self) -> dict[str, str]:
        """Keeps a server without a `--store` of its own away from the person's runs."""
        return {"XDG_STATE_HOME": str(self.home / "state"), "XDG_DATA_HOME": str(self.home / "data")}

    def new_folder(self) -> Path:
        """An empty workspace folder."""
        return Path(tempfile.mkdtemp(prefix="workspace-", dir=self.home))


class SharedServer:
    """The server that checks share; a check that fails leaves the next one a new server."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._server: ServerProcess | None = None
        self.folder = setting.new_folder()

    async def get(self, used: list[ServerProcess]) -> ServerProcess:
        """An initialized server on `folder`; it is added to `used` before it can fail."""
        if self._server is not None:
            used.append(self._server)
            return self._server
        setting = self._setting
        self._server = await ServerProcess.spawn(setting.command, setting.environment(), setting.answer_s)
        used.append(self._server)
        await self._server.initialize(folder_uri=self.folder.as_uri())
        return self._server

    async def close(self) -> None:
        """End it; the next `get` starts another."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()


class Trial:
    """One check under way. Made by `running`, which also closes it."""

    def __init__(self, check: Check, setting: Setting, shared: SharedServer) -> None:
        self.folder = setting.new_folder() if check.has_own_server else shared.folder
        self.gate = Gate(self.folder, check.id, setting.answer_s)
        # Scripts started by this check carry its name, so that its runs can be told from others'.
        self.name = check.id
        self._check = check
        self._setting = setting
        self._shared = shared
        self._own: list[ServerProcess] = []
        self._used: list[ServerProcess] = []

    # Servers

    async def server(self, **wanted: Any) -> ServerProcess:
        """
        An initialized server: the shared one, or for a check with servers of its own, a new one.

        Args:
            wanted: As for `ServerProcess.initialize`; for checks with servers of their own.

        Raises:
            CheckSkipped: it does not offer what the check needs.
        """
        if self._check.has_own_server:
            return await self.another_server(**wanted)
        assert not wanted, "Invariant: the shared server is the same for all"
        server = await self._shared.get(self._used)
        # What the checks before saw is none of this one's business.
        await server.round_trip()
        server.received.clear()
        server.need(self._check.needs)
        return server

    async def another_server(self, **wanted: Any) -> ServerProcess:
        """One more server on the same folder: another window."""
        server = await self.raw_server()
        await server.initialize(folder_uri=self.folder.as_uri(), **wanted)
        server.need(self._check.needs)
        return server

    async def raw_server(self) -> ServerProcess:
        """A new server nobody has said a word to."""
        setting = self._setting
        server = await ServerProcess.spawn(setting.command, setting.environment(), setting.answer_s)
        self._own.append(server)
        self._used.append(server)
        return server

    # Runs

    def start(self, server: ServerProcess, source: str, **wanted: Any) -> int:
        """Send `workflow/start` of an inline script, in the foreground and with events; returns the request's id."""
        return server.request("workflow/start", self.start_params(source, **wanted))

    def start_params(self, source: str, **wanted: Any) -> dict[str, Any]:
        return {"script": {"source": source, "name": self.name}, "events": True, **wanted}

    def quick(self) -> str:
        """A workflow of two steps that ends by itself; it takes an argument `n` (1)."""
        return scripts.quick(self.gate)

    def gated(self) -> str:
        """A workflow whose second step says `begun` and then waits for the gate."""
        return scripts.gated(self.gate)

    async def run_of(self, server: ServerProcess, *, since: int = 0) -> str:
        """The id of the run that this check started, from what the server tells."""
        told = await server.notified("workflow/statusChanged", since=since, name=self.name)
        return str(told["runId"])

    async def begin_gated(self, server: ServerProcess, **wanted: Any) -> tuple[int, str]:
        """Start the gated workflow and wait until its step is at the gate: (request, run id)."""
        since = server.mark()
        number = self.start(server, self.gated(), **wanted)
        await self.gate.told("begun")
        return number, await self.run_of(server, since=since)

    async def journal(self, server: ServerProcess, run_id: str) -> list[dict[str, Any]]:
        """All events of a run, page by page."""
        events: list[dict[str, Any]] = []
        while True:
            after = events[-1]["sequence"] if events else 0
            page = await server.result("workflow/events", {"runId": run_id, "afterSequence": after})
            events += page["events"]
            if not page["hasMore"] or not page["events"]:
                return events

    async def run(self, server: ServerProcess, run_id: str) -> dict[str, Any]:
        """`workflow/get`: the run as it stands."""
        return dict((await server.result("workflow/get", {"runId": run_id, "include": ["args", "result"]}))["run"])

    # The end

    def transcript(self, lines: int = 14) -> list[str]:
        """What was said last, by each server the check used."""
        told: list[str] = []
        for number, server in enumerate(self._used, 1):
            if len(self._used) > 1:
                told.append(f"server {number}:")
            told += server.transcript(lines)
        return told

    async def close(self, *, has_failed: bool) -> None:
        """End what the check began."""
        if has_failed:
            await self._shared.close()
        for server in self._own:
            await server.close()
        with contextlib.suppress(OSError):
            self.gate.close()

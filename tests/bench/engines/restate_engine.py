"""
Restate: its server in its default configuration (one node, all roles), and a process of services that it calls.

Both are children of this program and are killed with it. The server keeps everything below the folder. Runs are
requested as hosts do: over HTTP at the ingress, with a connection for each run at once.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from program import PAGE, Teller, main, now, until, wait_for_file

if TYPE_CHECKING:
    from collections.abc import Awaitable

SERVICES = Path(__file__).with_name("restate_service.py")


class RestateEngine:
    """`RESTATE_SERVER` in the environment is the server's executable."""

    def __init__(self, folder: str, teller: Teller, is_recovering: bool) -> None:
        self._folder = Path(folder)
        self._teller = teller
        self._is_recovering = is_recovering
        self._server: asyncio.subprocess.Process
        self._services: asyncio.subprocess.Process
        self._ports: dict[str, int] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(128)

    async def open(self) -> None:
        self._ports = self._chosen_ports()
        how = ["recover"] if self._is_recovering else []
        program = (sys.executable, str(SERVICES), str(self._ports["services"]), *how)
        self._services = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
        self._running.add(asyncio.create_task(self._pass_on()))
        environment = {
            **os.environ,
            "RESTATE_BASE_DIR": str(self._folder / "restate"),
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_PORT": str(self._ports["node"]),
            "RESTATE_INGRESS__BIND_PORT": str(self._ports["ingress"]),
            "RESTATE_ADMIN__BIND_PORT": str(self._ports["admin"]),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "error",
        }
        self._server = await asyncio.create_subprocess_exec(
            os.environ["RESTATE_SERVER"], "--no-logo", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        if not self._is_recovering:
            uri = f"http://127.0.0.1:{self._ports['services']}"
            await until(lambda: self._succeeds(self._request("admin", "POST", "/deployments", {"uri": uri})))
            await until(lambda: self._succeeds(self.sequential(1)))

    async def close(self) -> None:
        for process in (self._server, self._services):
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
        for task in self._running:
            task.cancel()
        self._threads.shutdown(wait=False)

    async def versions(self) -> dict[str, str]:
        server = await asyncio.create_subprocess_exec(
            os.environ["RESTATE_SERVER"], "--version", stdout=asyncio.subprocess.PIPE
        )
        said = (await server.communicate())[0].decode().split()
        return {"restate-server": said[-1], "restate-sdk": version("restate-sdk")}

    async def sequential(self, count: int) -> float:
        began = now()
        await self._call("in_turn", {"count": count, "held": -1})
        return now() - began

    async def fan_out(self, count: int) -> float:
        began = now()
        assert await self._call("at_once", count) == count
        return now() - began

    async def concurrent(self, runs: int, steps: int) -> float:
        began = now()
        order = {"count": steps, "held": -1}
        answers = await asyncio.gather(*(self._call("in_turn", order) for _ in range(runs)))
        assert [done for done, _ in answers] == [steps] * runs
        return now() - began

    async def start(self) -> float:
        began = now()
        _, first_began = await self._call("in_turn", {"count": 1, "held": -1})
        return first_began - began

    async def cancel(self, ticks: str) -> list[float]:
        sent = await self._call("cancelled/send", ticks)
        await wait_for_file(ticks)
        asked = now()
        path = f"/invocations/{sent['invocationId']}/cancel"
        await self._request("admin", "PATCH", path, None)
        return [asked, now()]

    async def hold(self, count: int) -> None:
        await self._call("in_turn/send", {"count": count + 1, "held": count})
        await asyncio.Event().wait()

    async def go_on(self) -> None:
        """The server does, by itself."""

    async def wait(self, count: int) -> None:
        await asyncio.gather(*(self._call("waiting/send", None) for _ in range(count)))
        asked = "SELECT count(*) AS n FROM sys_journal WHERE entry_type LIKE '%leep%'"

        async def all_sleep() -> bool:
            return (await self._query(asked))[0]["n"] >= count

        await until(all_sleep, every_s=0.2)

    async def fill(self, count: int) -> None:
        """Runs of its own: its store takes no others. Sent 100 at a time."""
        stored = (await self._query("SELECT count(*) AS n FROM sys_invocation"))[0]["n"]
        for first in range(stored, count, 100):
            order = {"count": 1, "held": -1}
            await asyncio.gather(*(self._call("in_turn", order) for _ in range(min(100, count - first))))

    async def list(self) -> float:
        began = now()
        asked = f"SELECT id, target, status, created_at FROM sys_invocation ORDER BY created_at DESC LIMIT {PAGE}"
        assert len(await self._query(asked)) == PAGE
        return now() - began

    def _chosen_ports(self) -> dict[str, int]:
        """Free ones, kept with the store: the server knows its services by their address."""
        kept = self._folder / "ports.json"
        if kept.exists():
            return json.loads(kept.read_text())
        sockets = {name: socket.socket() for name in ("node", "ingress", "admin", "services")}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        ports = {name: each.getsockname()[1] for name, each in sockets.items()}
        for each in sockets.values():
            each.close()
        kept.write_text(json.dumps(ports))
        return ports

    async def _pass_on(self) -> None:
        """What a held or a first step tells."""
        assert self._services.stdout is not None
        async for line in self._services.stdout:
            self._teller.tell(json.loads(line))

    async def _succeeds(self, asked: Awaitable[Any]) -> bool:
        """False while the server is not up."""
        try:
            await asked
        except (OSError, RuntimeError, http.client.HTTPException):
            return False
        return True

    async def _call(self, handler: str, order: Any) -> Any:
        return await self._request("ingress", "POST", f"/Bench/{handler}", order)

    async def _query(self, asked: str) -> list[dict[str, Any]]:
        return (await self._request("admin", "POST", "/query", {"query": asked}))["rows"]

    async def _request(self, port: str, method: str, path: str, body: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, _ask, self._ports[port], method, path, body
        )


def _ask(port: int, method: str, path: str, body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"accept": "application/json"}
    if body is not None:
        headers["content-type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")
    return json.loads(text) if text else None


if __name__ == "__main__":
    main(RestateEngine)

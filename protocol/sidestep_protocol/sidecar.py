"""
A server that is kept running: when one dies, another is spawned and greeted.

    async def greet(client):
        await client.initialize(folders=[workspace], trust=True)

    async with Sidecar.keep(["sidestep", "serve", "--stdio"], greet) as sidecar:
        started = await sidecar.start_background(ScriptRef(name="repo-report"), start_key="nightly")
        async for event in sidecar.follow(started.run_id):
            ...

Owns when a server is spawned and when that is given up. A request that waits when its server dies fails with
ServerGone, for only its caller knows whether it may be sent twice; `follow` goes on by its cursor.

Invariant: there is at most one server at a time, and none after the block.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from typing import IO, TYPE_CHECKING, Any

from sidestep_protocol.client import Client
from sidestep_protocol.requests import ResultT, ServerGone, ServerKeepsDying
from sidestep_protocol.run_events import RunEvents
from sidestep_protocol.runs import TERMINAL_STATUSES
from sidestep_protocol.workflow_calls import WorkflowCalls

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sidestep_protocol.connection import Connection

# As many restarts within that time as VS Code allows a language server.
DEATHS_MAX = 5
DEATHS_WITHIN_S = 180.0


class Sidecar(WorkflowCalls):
    """The server there is now, and the next one. Made by `keep`; not thread-safe."""

    def __init__(
        self,
        spawn: Callable[[], AbstractAsyncContextManager[Client]],
        greet: Callable[[Client], Awaitable[object]],
        deaths_max: int,
        deaths_within_s: float,
    ) -> None:
        """See `keep`."""
        self._spawn = spawn
        self._greet = greet
        self._deaths_within_s = deaths_within_s
        # When the last servers died, by the loop's clock.
        self._deaths: collections.deque[float] = collections.deque(maxlen=deaths_max)
        # Greeted, and not known to be gone.
        self._client: Client | None = None
        self._changed = asyncio.Event()
        # The last server's, once it is gone.
        self._returncode: int | None = None
        self._is_leaving = False
        self._keeper = asyncio.get_running_loop().create_task(self._keep_running(), name="sidecar")
        self._keeper.add_done_callback(self._ended)

    @classmethod
    @contextlib.asynccontextmanager
    async def keep(
        cls,
        command: Sequence[str | os.PathLike[str]],
        greet: Callable[[Client], Awaitable[object]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stderr: int | IO[Any] | None = None,
        close_grace_s: float = 5.0,
        deaths_max: int = DEATHS_MAX,
        deaths_within_s: float = DEATHS_WITHIN_S,
    ) -> AsyncGenerator[Sidecar, None]:
        """
        Keep a server running for the length of an `async with`.

        Args:
            command, env, cwd, stderr, close_grace_s: As for `Client.spawn`.
            greet: Called with each new server's client: sets up handlers and calls `initialize`.
            deaths_max: So many deaths within `deaths_within_s`, and no other server is spawned.

        Raises:
            OSError: The program could not be started.
            ServerKeepsDying: It died `deaths_max` times before it was greeted.
            ResponseFailed, or whatever else `greet` raises.
        """

        def spawn() -> AbstractAsyncContextManager[Client]:
            return Client.spawn(command, env=env, cwd=cwd, stderr=stderr, close_grace_s=close_grace_s)

        sidecar = cls(spawn, greet, deaths_max, deaths_within_s)
        try:
            await sidecar.connected()
            yield sidecar
        finally:
            await sidecar._end()

    @property
    def client(self) -> Client | None:
        """The server's client; None between two servers."""
        client = self._client
        return None if client is None or client.is_gone else client

    async def connected(self) -> Client:
        """
        The server's client, the next one's when there is none now.

        Raises:
            ServerKeepsDying: There will be no other. So `keep`'s other errors, when another server cannot be made.
            ServerGone: `shutdown` was called.
        """
        while (client := self.client) is None:
            if self._keeper.done():
                if not self._keeper.cancelled():
                    self._keeper.result()
                raise ServerGone(self._returncode)
            self._changed.clear()
            await self._changed.wait()
        return client

    async def request(self, method: str, params: Any, result_type: type[ResultT]) -> ResultT:
        """Send a request to the server there is, or the next one, and wait for its result; see `Client.request`."""
        client = await self.connected()
        return await client.request(method, params, result_type)

    def follow(self, run_id: str, *, after_sequence: int = 0, until: Collection[str] = TERMINAL_STATUSES) -> RunEvents:
        """
        A run's events from a cursor on, each once and in order, from one server to the next; see `Client.follow`.

        Its iteration raises what `connected` does, when there is no other server.
        """
        return RunEvents(run_id, self._connection, after_sequence=after_sequence, until=until)

    async def shutdown(self, *, timeout_s: float = 10.0) -> int | None:
        """End the server politely and spawn no other; returns its exit code, None when there is no server."""
        self._is_leaving = True
        client = self.client
        return None if client is None else await client.shutdown(timeout_s=timeout_s)

    async def _connection(self) -> Connection:
        return (await self.connected()).connection

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_leaving:
            async with self._spawn() as client:
                with contextlib.suppress(ServerGone):
                    await self._greet(client)
                    self._client = client
                    self._changed.set()
                await client.connection.gone()
            self._client, self._returncode = None, client.returncode
            self._deaths.append(loop.time())
            is_full = len(self._deaths) == self._deaths.maxlen
            if is_full and self._deaths[-1] - self._deaths[0] < self._deaths_within_s and not self._is_leaving:
                raise ServerKeepsDying(client.returncode, len(self._deaths), self._deaths_within_s)

    def _ended(self, keeper: asyncio.Task[None]) -> None:
        self._client = None
        self._changed.set()
        # Whoever asks for a server is told; nobody may.
        if not keeper.cancelled():
            keeper.exception()

    async def _end(self) -> None:
        self._is_leaving = True
        self._keeper.cancel()
        await asyncio.wait({self._keeper})

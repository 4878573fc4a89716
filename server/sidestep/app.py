"""
The composition root: the only module that builds concrete parts, for the server and the command line alike.

`serve` imports this module after its initialize reply; the sandbox's library and pygls are loaded where they are first
needed.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.engine.agent_turns import AgentParts
from sidestep.engine.runner import RunnerParts
from sidestep.engine.sleeper import SleepExecutor
from sidestep.executors import process_group
from sidestep.executors.agent_catalog import HOST, AgentCatalog
from sidestep.executors.agent_registry import AgentRegistry, no_host
from sidestep.executors.apply_patch import ApplyPatchExecutor
from sidestep.executors.command import CommandExecutor
from sidestep.executors.git import Git
from sidestep.executors.step_worktrees import StepWorktrees
from sidestep.model.agent_settings import AgentSettings
from sidestep.model.agents import PermissionPolicy, PermissionRule
from sidestep.model.errors import Draining
from sidestep.runtime.sandbox import MontySandbox, versions
from sidestep.scripts.agent_config import USER_FILE, AgentConfigReader
from sidestep.scripts.discovery import ScriptFinder, builtin_folder
from sidestep.scripts.json_schema import JsonSchemas
from sidestep.scripts.resolver import ScriptResolver
from sidestep.scripts.trust import SessionTrust, TrustList
from sidestep.service.answered import AnsweredQuestions
from sidestep.service.library import Library
from sidestep.service.live_outputs import LiveOutputs
from sidestep.service.workflows import ServiceParts, WorkflowService
from sidestep.store.location import store_location
from sidestep.store.owners import OwnerDirectory
from sidestep.store.place import user_folder
from sidestep.store.sqlite import SqliteRunStore
from sidestep.system import VERSION, RandomIds, SystemClock, random_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.executors.agent_registry import HostAgents
    from sidestep.model.abort import AbortReason
    from sidestep.model.execution import StepExecutor
    from sidestep.settings import Settings

__all__ = ["VERSION", "Application"]


class Application:
    """One process's parts. `library` works at once; the service is opened when it is first asked for."""

    def __init__(
        self,
        settings: Settings,
        store_path: str | Path | None,
        environ: Mapping[str, str],
        *,
        executors: Mapping[str, StepExecutor] | None = None,
    ) -> None:
        """
        Args:
            store_path: A database file; None for `SIDESTEP_STORE`, else the user's own.
            environ: The process's environment; commands inherit it.
            executors: Instead of the real ones, by step kind; for benchmarks.
        """
        self.settings = settings
        self.location = store_location(store_path, environ)
        self.trust_path = self.location.folder / "trust.json"
        self.user_workflows = Path(user_folder("config"), "workflows")
        self.versions = {"sidestep": VERSION}
        finder = ScriptFinder(user_folder=str(self.user_workflows), builtin=builtin_folder(), settings=settings)
        self.library = Library(
            finder, ScriptResolver(finder, settings), TrustList(self.trust_path), SessionTrust(), settings
        )
        self.agent_config = AgentConfigReader(self.user_workflows.with_name(USER_FILE), self.library.is_trusted)
        # What a host adds once it is heard: agents that are the host, and whether a question can be answered.
        self.host_agents: HostAgents = no_host
        self.can_ask = False
        self._environ = environ
        self._executors = dict(executors or {})
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._parts = AsyncExitStack()
        self._service: WorkflowService | None = None

    def agent_names(self, folder: str) -> list[str]:
        """Names that `agent=` takes in a folder (an absolute path), now; reads the disk, in any thread."""
        path = self._environ.get("PATH", os.defpath)
        does_tasks = self.host_agents(HOST, AgentSettings(kind="host"), None) is not None
        catalog = AgentCatalog(self.agent_config, path, host_does_tasks=lambda: does_tasks)
        return [agent.name for agent in catalog.agents(folder)]

    @property
    def opened(self) -> WorkflowService | None:
        """The service if it has been opened."""
        return self._service

    async def service(self) -> WorkflowService:
        """
        The service, with its store open and dead owners' runs recovered.

        Raises:
            StoreUnavailable: the store cannot be opened now; the next call tries again.
            Draining: the application was closed.
        """
        async with self._opening:
            if self._is_closed:
                raise Draining()
            if self._service is None:
                async with AsyncExitStack() as parts:
                    self._service = await self._open(parts)
                    self._parts = parts.pop_all()
            return self._service

    async def close(self, reason: AbortReason) -> None:
        """Drain the service and let go of its parts; idempotent."""
        async with self._opening:
            self._is_closed = True
            service, self._service = self._service, None
        if service is not None:
            await service.close(reason)
            await self._parts.aclose()

    async def _open(self, parts: AsyncExitStack) -> WorkflowService:
        clock = SystemClock()
        store = await parts.enter_async_context(SqliteRunStore(self.location, clock, self.settings))
        owners = OwnerDirectory(self.location.owners, f"owner_{random_word()}", process_group)
        parts.enter_context(owners)
        sandbox = MontySandbox(self.settings, monotonic=time.monotonic)
        parts.push_async_callback(sandbox.close)
        worktrees = StepWorktrees(self.location.worktrees, Git(self._environ, asyncio.sleep))
        executors: dict[str, StepExecutor] = {
            "command": CommandExecutor(self.settings, owners, self._environ, asyncio.sleep),
            "sleep": SleepExecutor(clock),
            "apply_patch": ApplyPatchExecutor(worktrees.patches),
            **self._executors,
        }
        outputs = LiveOutputs()
        service = WorkflowService(
            ServiceParts(
                runner=RunnerParts(
                    store,
                    sandbox,
                    executors,
                    outputs,
                    AnsweredQuestions(store),
                    JsonSchemas(self.settings.validated_depth_max),
                    self._agent_parts(worktrees, owners),
                    clock,
                    self.settings,
                ),
                outputs=outputs,
                owners=owners,
                library=self.library,
                ids=RandomIds(),
                pid=os.getpid(),
                versions={**self.versions, **versions()},
            )
        )
        await worktrees.patches.recover()
        # Listed before the recovery, which then needs their files no more; who dies from now on keeps its own.
        dead = [owner_id for owner_id in owners.owner_ids() if not owners.is_alive(owner_id)]
        await service.open()
        for owner_id in dead:
            owners.remove(owner_id)
        return service

    def _agent_parts(self, worktrees: StepWorktrees, owners: OwnerDirectory) -> AgentParts:
        registry = AgentRegistry(
            self.agent_config,
            # Asked each time: the host is heard after the service may have been opened.
            lambda name, settings, places: self.host_agents(name, settings, places),
            self.settings,
            owners,
            self._environ,
            asyncio.sleep,
        )
        return AgentParts(
            registry, worktrees, self._permission_rule, asyncio.Semaphore(self.settings.agents_running_max)
        )

    def _permission_rule(self, folder: str) -> PermissionRule:
        configuration = self.agent_config(folder)
        problem = configuration.permission_problem
        return PermissionRule(
            configuration.permission_policy or PermissionPolicy.ALLOW,
            configuration.permission_where,
            None if problem is None else str(problem),
            self.can_ask,
        )

"""
The application of `serve`, imported and built after the host has its initialize reply.

Importing engine, service, store and scripts takes longer than everything before the reply. It happens in a thread,
once, when somebody first asks. Owns that moment and what follows from it for closing; builds nothing else.

Invariant: what was closed before it was built is never built, and its service never opened.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from typing import TYPE_CHECKING

from sidestep.cli.lean_imports import import_lean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.app import Application
    from sidestep.model.abort import AbortReason
    from sidestep.service.workflows import WorkflowService
    from sidestep.settings import Settings


class LateApplication:
    """Stands for `Application` until it is loaded."""

    def __init__(self, settings: Settings, store_path: str | None, environ: Mapping[str, str]) -> None:
        """See `Application`."""
        self._settings = settings
        self._store_path = store_path
        self._environ = environ
        self._application: Application | None = None
        self._loading = asyncio.Lock()
        self._is_closed = False

    @property
    def opened(self) -> WorkflowService | None:
        """The service if it has been opened."""
        return None if self._application is None else self._application.opened

    async def get(self) -> Application:
        """
        The application; the first call loads it, without holding the event loop up.

        Raises:
            Draining: it was closed.
        """
        async with self._loading:
            if self._application is None:
                # On the loop, and first: another thread that imports must not miss what is hidden for a moment.
                import_lean("shutil")
                await asyncio.to_thread(_import)
                from sidestep.app import Application
                from sidestep.model.errors import Draining

                if self._is_closed:
                    raise Draining()
                self._application = Application(self._settings, self._store_path, self._environ)
            return self._application

    async def close(self, reason: AbortReason) -> None:
        """Drain the service and let go of its parts; idempotent."""
        self._is_closed = True
        if self._application is not None:
            await self._application.close(reason)


def _import() -> None:
    """In a thread: modules alone, nothing is built."""
    # What is loaded stays; looking through it for garbage again and again is 3 % of a start after a crash.
    gc.disable()
    try:
        for module in ("sidestep.app", "sidestep.lsp.workflow_side"):
            importlib.import_module(module)
    finally:
        gc.enable()

"""
What an editor that knows nothing of runs has of them: commands, reports, and words about how a run ended.

Owns the wiring of these parts and their first import: nearly all hosts that speak our protocol need none of them, and a
process that many windows keep open all day should not pay for what nobody uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.lsp.run_commands import RunCommands
from sidestep.lsp.run_endings import RunEndings
from sidestep.lsp.run_report import RunReports

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.lsp.greeting import Greeting
    from sidestep.lsp.notifier import Notifier
    from sidestep.lsp.workspace import Workspace
    from sidestep.rpc.session import Session
    from sidestep.scripts.folder import FolderKey
    from sidestep.service.library import Library
    from sidestep.service.workflows import WorkflowService


class PlainEditor:
    """
    One connection's.

    Attributes:
        reports: The files of runs' reports.
        endings: Tells the person how runs ended, and shows them.
        commands: Carries out what code lenses and code actions order.
    """

    def __init__(
        self,
        session: Session,
        *,
        open_service: Callable[[], Awaitable[WorkflowService]],
        library: Library,
        workspace: Workspace,
        notifier: Notifier,
        greeting: Callable[[], Greeting],
        trust: Callable[[FolderKey], Awaitable[None]],
        is_unsaved: Callable[[str], bool],
    ) -> None:
        """See `RunCommands`."""
        self.reports = RunReports(open_service)
        self.endings = RunEndings(session, self.reports, greeting)
        self.commands = RunCommands(
            session,
            open_service=open_service,
            library=library,
            workspace=workspace,
            notifier=notifier,
            endings=self.endings,
            greeting=greeting,
            trust=trust,
            is_unsaved=is_unsaved,
        )

    def close(self) -> None:
        self.commands.close()
        self.endings.close()
        self.reports.close()

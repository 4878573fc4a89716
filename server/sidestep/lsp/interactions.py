"""
The questions one client's person is asked: which stand before it, and what becomes of its answers (P7, W25).

Owns what this client has been shown, and nothing durable: a question stands in the store, whatever a client does with
it. It is shown while its run is active and in one of the client's folders, whichever process conducts the run.

What is open is read anew after each commit that may have changed it; what is over is taken down within the commit.

Invariant: a question stands before the client at most once.
Invariant: nothing about a question is sent after the stop of its run was told, but that it is over (G5).
Invariant: no answer of a client's can lose a question: it stays open until one is durable.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET

from sidestep.lsp import convert
from sidestep.lsp.question_messages import how_to_answer, message_of, read_answer, refusal, warning
from sidestep.lsp.spawned_tasks import SpawnedTasks
from sidestep.model.errors import AnswerInvalid, InteractionNotPending, RunNotFound, SidestepError
from sidestep.model.events import InteractionChanged, InteractionStatus, StatusChanged
from sidestep.model.ports import RunFilter
from sidestep.model.problems import ArgsProblem
from sidestep.model.run import ACTIVE
from sidestep.rpc.errors import PeerError, PeerInvalid
from sidestep_protocol import notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidestep.model.ports import Committed, Deleted
    from sidestep.model.questions import Question
    from sidestep.rpc.envelope import Response
    from sidestep.rpc.outbound import Settle
    from sidestep.scripts.folder import FolderKey
    from sidestep.service.workflows import WorkflowService

log = logging.getLogger("sidestep.lsp")

# So many stand before one client at a time; the others come as these are answered, or declined.
SHOWN_MAX = 100
# So often a question is asked of one client whose answers cannot be taken.
TRIES_MAX = 3
# Who has answered when nobody has: the run needs no answer any more, or has stopped.
BY_RUN = "run"

_PAGE = 100


class Peer(Protocol):
    """What is needed of the session."""

    def notify(self, method: str, params: object) -> bool: ...

    def ask(self, method: str, params: object, settle: Settle) -> str: ...

    def withdraw(self, request_id: str) -> None: ...


@dataclass(eq=False)
class _Shown:
    """A question that stands before the client."""

    question: Question
    # The workflow's, for people.
    name: str
    folder: str
    # Our request, while it is not answered.
    request_id: str | None = None
    tries: int = 1
    # The client has let it be: nothing stands before its person any more.
    is_declined: bool = False


@dataclass(eq=False)
class _Look:
    """A reading of one tree's open questions that is under way."""

    # Ids of the runs and questions that were over since it began: what it has read of them is of no use.
    over: set[str] = field(default_factory=set[str])
    # Something was asked since it began.
    again: bool = False


class Interactions:
    """The questions of one connection."""

    def __init__(
        self,
        peer: Peer,
        *,
        is_mine_folder: Callable[[str], bool],
        can_interact: Callable[[], bool],
        answers_as: Callable[[], str],
    ) -> None:
        """
        Args:
            is_mine_folder: Whether a folder, by its key, is one of this connection's.
            can_interact: Whether the client answers `workflow/interact`; else it is asked with LSP's own messages.
            answers_as: What the client is called where it is told who answered.
        """
        self._peer = peer
        self._is_mine_folder = is_mine_folder
        self._can_interact = can_interact
        self._answers_as = answers_as
        self._service: WorkflowService | None = None
        self._is_ready = False
        self._shown: dict[str, _Shown] = {}
        # Questions that were asked since we listen and were not shown yet -> their root: they are shown as new ones.
        self._news: dict[str, str] = {}
        # Root -> the reading of it.
        self._looks: dict[str, _Look] = {}
        # Roots with questions that found no place.
        self._held_back: set[str] = set()
        self._tasks = SpawnedTasks("interactions", "a question was not handled")

    def attend(self, service: WorkflowService) -> None:
        """Hear of this service's commits from now on; call it before others listen that tell of a run's stop."""
        self._service = service
        service.listeners.listen(self.told)
        service.listeners.listen_deleted(self.deleted)

    def begin(self, folders: Iterable[FolderKey]) -> None:
        """The client is ready: show what is open in these folders, and from now on whatever comes."""
        self._is_ready = True
        if self._service is not None:
            self._tasks.spawn(self._look_through(self._service, [folder.path for folder in folders]))

    def folders_closed(self) -> None:
        """Take back the questions of folders that are not open any more."""
        for shown in list(self._shown.values()):
            if not self._is_mine_folder(shown.folder):
                self._take_back(shown)

    def close(self) -> None:
        self._tasks.close()

    # -- What is told

    def told(self, committed: Committed) -> None:
        """The listener: one commit, told in order."""
        record = committed.record
        if not self._is_mine_folder(record.folder):
            return
        is_news = False
        for event in committed.events:
            body = event.body
            if isinstance(body, StatusChanged):
                is_news = True
            elif isinstance(body, InteractionChanged):
                if body.status is InteractionStatus.ASKED:
                    self._news[body.interaction_id] = record.root_run_id
                    is_news = True
                else:
                    self._resolved(body.interaction_id, body.by or BY_RUN)
        if record.is_stopped:
            self._stopped(record.run_id, is_root=record.is_root)
        elif is_news and record.pending:
            self._look(record.root_run_id)

    def deleted(self, deleted: Deleted) -> None:
        """The listener: a run is gone with its tree; its stop may have gone unseen."""
        self._stopped(deleted.run_id, is_root=True)

    def _stopped(self, run_id: str, *, is_root: bool) -> None:
        for look in self._looks.values():
            look.over.add(run_id)
        for shown in list(self._shown.values()):
            question = shown.question
            if question.run_id == run_id or (is_root and question.root_run_id == run_id):
                self._resolved(question.interaction_id, BY_RUN)
        if is_root:
            self._held_back.discard(run_id)
            self._news = {asked: root for asked, root in self._news.items() if root != run_id}

    def _resolved(self, interaction_id: str, by: str) -> None:
        for look in self._looks.values():
            look.over.add(interaction_id)
        self._news.pop(interaction_id, None)
        shown = self._shown.get(interaction_id)
        if shown is not None:
            self._take_back(shown)
        told = notifications.InteractionResolvedNotification(interaction_id=interaction_id, by=by)
        self._peer.notify("workflow/interactionResolved", told)

    def _take_back(self, shown: _Shown) -> None:
        del self._shown[shown.question.interaction_id]
        if shown.request_id is not None:
            self._peer.withdraw(shown.request_id)
        self._let_in()

    def _let_in(self) -> None:
        """There is room for one that was held back."""
        held_back, self._held_back = self._held_back, set()
        for root_run_id in held_back:
            self._look(root_run_id)

    # -- What is open

    async def _look_through(self, service: WorkflowService, folders: list[str]) -> None:
        try:
            for folder in folders:
                cursor: str | None = None
                wanted = RunFilter(folder=folder, statuses=ACTIVE)
                while True:
                    page = await service.store.list_runs(wanted, cursor=cursor, limit=_PAGE)
                    for record in page.items:
                        if record.pending:
                            self._look(record.run_id)
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        except SidestepError as error:
            log.warning("what waits for an answer cannot be read: %s", error)

    def _look(self, root_run_id: str) -> None:
        """Show what is open in a tree, as soon as it is read."""
        if not self._is_ready or self._service is None:
            return
        look = self._looks.get(root_run_id)
        if look is not None:
            look.again = True
            return
        self._looks[root_run_id] = look = _Look()
        self._tasks.spawn(self._look_until_done(self._service, root_run_id, look))

    async def _look_until_done(self, service: WorkflowService, root_run_id: str, look: _Look) -> None:
        try:
            while True:
                look.again = False
                look.over.clear()
                await self._show_open(service, root_run_id, look)
                if not look.again:
                    return
        except RunNotFound:
            return
        except SidestepError as error:
            log.warning("%s: its questions cannot be read: %s", root_run_id, error)
        finally:
            del self._looks[root_run_id]

    async def _show_open(self, service: WorkflowService, root_run_id: str, look: _Look) -> None:
        root = await service.store.read(root_run_id)
        if not root.is_active or not root.pending:
            return
        questions = await service.store.open_questions(root_run_id)
        names: dict[str, str] = {}
        for run_id in {question.run_id for question in questions}:
            record = root if run_id == root_run_id else await service.store.read(run_id)
            if record.is_active:
                names[run_id] = record.name
        # Nothing is awaited from here on: what is over by now is in `over`.
        if not self._is_mine_folder(root.folder):
            return
        for question in questions:
            ids = {root_run_id, question.run_id, question.interaction_id}
            if question.run_id not in names or question.interaction_id in self._shown or not look.over.isdisjoint(ids):
                continue
            if sum(not shown.is_declined for shown in self._shown.values()) >= SHOWN_MAX:
                self._held_back.add(root_run_id)
                return
            shown = _Shown(question, names[question.run_id], root.folder)
            self._shown[question.interaction_id] = shown
            self._ask(shown, redelivery=self._news.pop(question.interaction_id, None) is None)

    # -- Asking, and what is answered

    def _ask(self, shown: _Shown, *, redelivery: bool) -> None:
        question, settle = shown.question, partial(self._settle, shown)
        if self._can_interact():
            params = convert.interact(question, redelivery=redelivery)
            shown.request_id = self._peer.ask("workflow/interact", params, settle)
        elif question.choices:
            message = message_of(question, shown.name)
            shown.request_id = self._peer.ask("window/showMessageRequest", message, settle)
        else:
            self._peer.notify("window/showMessage", message_of(question, shown.name))

    def _settle(self, shown: _Shown, response: Response | None) -> None:
        """Our request was answered, or the client is gone."""
        shown.request_id = None
        if response is None or not self._stands(shown):
            return
        interaction_id = shown.question.interaction_id
        try:
            answer = read_answer(shown.question, response, interacts=self._can_interact())
        except PeerInvalid as garbage:
            log.warning("%s: %s", interaction_id, garbage)
            self._ask_again(shown, refusal(shown.name, [ArgsProblem("", "what came is no answer")]))
        except PeerError as refused:
            log.info("%s: the client does not answer: %s", interaction_id, refused)
            self._declined(shown)
        else:
            if answer is UNSET:
                log.info("%s: the client has no answer; it stays open", interaction_id)
                self._declined(shown)
            elif self._service is not None:
                self._tasks.spawn(self._give(self._service, shown, answer))

    async def _give(self, service: WorkflowService, shown: _Shown, answer: Any) -> None:
        try:
            await service.answer(shown.question.interaction_id, answer, self._answers_as())
        except InteractionNotPending as late:
            log.info("%s", late)
        except AnswerInvalid as invalid:
            if answer is None:
                # A form that was closed, in most hosts.
                self._declined(shown)
            else:
                self._ask_again(shown, refusal(shown.name, invalid.problems))
        except SidestepError as error:
            self._ask_again(shown, refusal(shown.name, [ArgsProblem("", str(error).rstrip("."))]))

    def _ask_again(self, shown: _Shown, why: str) -> None:
        """Say why an answer was not taken, and ask once more if that may help."""
        if not self._stands(shown):
            return
        is_last = shown.tries >= TRIES_MAX
        how = f" {how_to_answer(shown.question)}" if is_last else ""
        self._peer.notify("window/showMessage", warning(why + how))
        if is_last:
            self._declined(shown)
        else:
            shown.tries += 1
            self._ask(shown, redelivery=True)

    def _declined(self, shown: _Shown) -> None:
        """The client gives no answer: the question stays open, and is not asked of it again while its run goes on."""
        shown.is_declined = True
        self._let_in()

    def _stands(self, shown: _Shown) -> bool:
        return self._shown.get(shown.question.interaction_id) is shown

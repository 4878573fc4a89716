"""
`workspace/executeCommand`: what code lenses and code actions do, for editors that know nothing of runs.

A command is answered at once with `{runId}` and goes on in the background; `runId` is null when nothing was started,
or when its person has to be asked first. Why something was refused is told to the person, as editors differ in whether
they show the errors of commands; only a command that cannot be understood is answered with an error.

Invariant: every command that was understood ends in a run, in a message, or in a question that its person dismissed.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

import msgspec

from sidestep.language.surroundings import workspace_of
from sidestep.lsp.question_messages import MessageItem
from sidestep.lsp.run_questions import (
    NOT_NOW,
    TRUST,
    argument_question,
    how_to_give,
    missing_arguments,
    trust_text,
)
from sidestep.lsp.spawned_tasks import SpawnedTasks
from sidestep.model.abort import AbortController
from sidestep.model.errors import ArgsInvalid, SidestepError, WorkspaceUntrusted
from sidestep.model.run import Attention
from sidestep.rpc.errors import PeerError, PeerGone, RpcError, invalid_params
from sidestep.scripts.file_uri import path_of_uri
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import FileScript
from sidestep.service.requests import ResumeRequest, RetryRequest, StartRequest
from sidestep_protocol.errors import InvalidParamsData
from sidestep_protocol.validation import invalid_params_data

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sidestep.lsp.greeting import Greeting
    from sidestep.lsp.notifier import Notifier
    from sidestep.lsp.run_endings import RunEndings
    from sidestep.lsp.workspace import Workspace
    from sidestep.model.run import RunRecord
    from sidestep.service.library import Library
    from sidestep.service.workflows import WorkflowService

T = TypeVar("T")

log = logging.getLogger("sidestep.lsp")

# Commands under way; who has as many unanswered questions answers some first.
COMMANDS_MAX = 100
_ERROR, _WARNING = 1, 2
_CHOSEN = cast("type[MessageItem | None]", MessageItem | None)


class RunArgument(msgspec.Struct, rename="camel"):
    """The argument of `sidestep.run`; a project's script runs in its own folder, the user's in the one named."""

    uri: str
    args: dict[str, Any] = {}
    workspace_folder: str | None = None


class RunIdArgument(msgspec.Struct, rename="camel"):
    run_id: str


class RetryArgument(msgspec.Struct, rename="camel"):
    run_id: str
    source: Literal["snapshot", "current"] = "snapshot"


class Peer(Protocol):
    """What is needed of the session."""

    def notify(self, method: str, params: object) -> bool: ...

    async def request(self, method: str, params: object, result_type: type[T]) -> T: ...


class RunCommands:
    """The commands of one connection."""

    def __init__(
        self,
        peer: Peer,
        *,
        open_service: Callable[[], Awaitable[WorkflowService]],
        library: Library,
        workspace: Workspace,
        notifier: Notifier,
        endings: RunEndings,
        greeting: Callable[[], Greeting],
        trust: Callable[[FolderKey], Awaitable[None]],
        is_unsaved: Callable[[str], bool],
    ) -> None:
        """
        Args:
            trust: Trusts a folder from now on, with what follows from that.
            is_unsaved: Whether a script, by its URI, is open with changes that its file has not; asked in a thread.
        """
        self._peer = peer
        self._service = open_service
        self._library = library
        self._workspace = workspace
        self._notifier = notifier
        self._endings = endings
        self._greeting = greeting
        self._trust = trust
        self._is_unsaved = is_unsaved
        self._tasks = SpawnedTasks(
            "command",
            "a command failed",
            lambda: self._tell("A command of Sidestep's failed; the server's log tells why"),
        )
        # Of progress tokens.
        self._numbers = itertools.count(1)
        self._commands: dict[str, tuple[type[Any], Callable[[Any], Awaitable[str | None]]]] = {
            "sidestep.run": (RunArgument, self._run),
            "sidestep.interrupt": (RunIdArgument, partial(self._in_background, self._interrupt)),
            "sidestep.resume": (RunIdArgument, partial(self._in_background, self._resume)),
            "sidestep.retry": (RetryArgument, partial(self._in_background, self._retry)),
            "sidestep.background": (RunIdArgument, partial(self._in_background, self._background)),
            "sidestep.showRun": (RunIdArgument, partial(self._in_background, self._show)),
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._commands)

    async def execute(self, command: str, arguments: list[Any] | None) -> dict[str, Any]:
        """
        Returns:
            `{"runId"}`.

        Raises:
            RpcError: there is no such command, or its argument is none.
        """
        if command not in self._commands:
            raise _refused("$.command", f"one of {', '.join(self._commands)}")
        argument_type, work = self._commands[command]
        if arguments is None or len(arguments) != 1:
            raise _refused("$.arguments", f"a list of one object, {_example(argument_type)}")
        try:
            argument = msgspec.convert(arguments[0], argument_type)
        except msgspec.ValidationError as error:
            data = invalid_params_data(error, argument_type)
            path = f"$.arguments[0]{data.path.removeprefix('$')}"
            raise _refused(path, f"{data.expected}, as in {_example(argument_type)}") from None
        if len(self._tasks) >= COMMANDS_MAX:
            self._tell("Too many workflows wait for an answer of yours: answer the open questions first")
            return {"runId": None}
        return {"runId": await work(argument)}

    def close(self) -> None:
        self._tasks.close()

    # -- The commands

    async def _run(self, wanted: RunArgument) -> str | None:
        """The run's id as soon as it is durable; None when nothing was started yet."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        task = self._tasks.spawn(self._told(self._start(wanted, answer)))
        task.add_done_callback(lambda _: answer.done() or answer.set_result(None))
        return await answer

    async def _in_background(self, work: Callable[[Any], Coroutine[Any, Any, object]], argument: Any) -> str:
        self._tasks.spawn(self._told(work(argument)))
        return argument.run_id

    async def _start(self, wanted: RunArgument, answer: asyncio.Future[str | None]) -> None:
        folder, folder_uri = self._folder_of(wanted)
        args = dict(wanted.args)
        while True:
            request = StartRequest(
                script=FileScript(wanted.uri),
                args=args,
                folder=folder,
                folder_uri=folder_uri,
                auto_resume=self._greeting().params.options.auto_resume,
                attention=Attention.NOTIFY_ON_TERMINAL,
                on_run=self._follow,
            )
            try:
                started = await (await self._service()).start(request, AbortController().signal)
            except WorkspaceUntrusted:
                _settle(answer, None)
                if not await self._is_trusted_now(folder):
                    return
            except ArgsInvalid:
                script = await self._library.resolve(request.script, folder)
                missing = missing_arguments(script, args)
                if not missing:
                    raise
                _settle(answer, None)
                questions = [argument_question(script, each) for each in missing]
                known = [each for each in questions if each is not None]
                if len(known) < len(missing) or not self._greeting().can_be_asked:
                    self._tell(how_to_give(script, missing))
                    return
                for question in known:
                    title = await self._asked(question.text, list(question.choices), how_to_give(script, missing))
                    if title is None:
                        return
                    args[question.name] = question.choices[title]
            else:
                _settle(answer, started.record.run_id)
                if await asyncio.to_thread(self._is_unsaved, wanted.uri):
                    message = f"{started.record.name} runs as it was saved; it has changes that are not saved"
                    self._tell(message, _WARNING)
                return

    async def _interrupt(self, wanted: RunIdArgument) -> None:
        await (await self._service()).interrupt(wanted.run_id, by="editor", wait_quiescent=False)

    async def _resume(self, wanted: RunIdArgument) -> None:
        request = ResumeRequest(run_id=wanted.run_id, attention=Attention.NOTIFY_ON_TERMINAL, on_run=self._follow)
        await self._trusting(wanted.run_id, lambda service: service.resume(request, AbortController().signal))

    async def _retry(self, wanted: RetryArgument) -> None:
        request = RetryRequest(
            run_id=wanted.run_id,
            current_source=wanted.source == "current",
            attention=Attention.NOTIFY_ON_TERMINAL,
            on_run=self._follow,
        )
        await self._trusting(wanted.run_id, lambda service: service.retry(request, AbortController().signal))

    async def _background(self, wanted: RunIdArgument) -> None:
        await (await self._service()).background(wanted.run_id)

    async def _show(self, wanted: RunIdArgument) -> None:
        await self._endings.show(await (await self._service()).store.read(wanted.run_id))

    async def _trusting(self, run_id: str, go_on: Callable[[WorkflowService], Awaitable[RunRecord]]) -> None:
        """Go on with a run, after its folder was trusted if need be."""
        service = await self._service()
        try:
            await go_on(service)
        except WorkspaceUntrusted:
            folder = FolderKey((await service.store.read(run_id)).folder)
            if await self._is_trusted_now(folder):
                await go_on(service)

    # -- What they share

    def _folder_of(self, wanted: RunArgument) -> tuple[FolderKey, str]:
        path, _ = path_of_uri(wanted.uri)
        own = None if path is None else workspace_of(path)
        if wanted.workspace_folder is None and own is not None:
            return self._workspace.named(own)
        return self._workspace.folder(wanted.workspace_folder)

    def _follow(self, run_id: str, attached: RunRecord | None) -> Callable[[], None]:
        undo = self._notifier.follow(run_id, attached)
        if self._greeting().offers("window", "workDoneProgress"):
            self._tasks.spawn(self._show_progress(run_id))
        return undo

    async def _show_progress(self, run_id: str) -> None:
        """Under a token of ours, once the client has agreed to it: until then nothing may be sent under it."""
        token = f"{run_id}-{next(self._numbers)}"
        try:
            await self._peer.request("window/workDoneProgress/create", {"token": token}, cast("type[Any]", Any))
        except PeerError as refused:
            log.info("%s: the client shows no progress: %s", run_id, refused)
        else:
            self._notifier.show_progress(run_id, token)

    async def _is_trusted_now(self, folder: FolderKey) -> bool:
        refusal = str(WorkspaceUntrusted(folder.path))
        if not self._greeting().can_be_asked:
            self._tell(refusal)
            return False
        if await self._asked(trust_text(folder.path), [TRUST, NOT_NOW], refusal) != TRUST:
            return False
        await self._trust(folder)
        return True

    async def _asked(self, text: str, titles: list[str], otherwise: str) -> str | None:
        """The title that was chosen; None when nothing was. A client that asks nobody shows what to do otherwise."""
        params = {"type": 3, "message": text, "actions": [{"title": title} for title in titles]}
        try:
            chosen = await self._peer.request("window/showMessageRequest", params, _CHOSEN)
        except PeerGone:
            return None
        except PeerError as refused:
            log.info("the client asks nobody: %s", refused)
            self._tell(otherwise)
            return None
        return chosen.title if chosen is not None and chosen.title in titles else None

    async def _told(self, work: Coroutine[Any, Any, object]) -> None:
        """Tell the person why something was refused."""
        try:
            await work
        except SidestepError as refused:
            self._tell(str(refused))

    def _tell(self, message: str, kind: int = _ERROR) -> None:
        self._peer.notify("window/showMessage", {"type": kind, "message": message})


def _settle(answer: asyncio.Future[str | None], run_id: str | None) -> None:
    if not answer.done():
        answer.set_result(run_id)


def _refused(path: str, expected: str) -> RpcError:
    return RpcError(invalid_params(InvalidParamsData(reason="invalidParams", path=path, expected=expected)))


def _example(argument_type: type[Any]) -> str:
    return '{"uri": "file:///...", "args": {...}}' if argument_type is RunArgument else '{"runId": "run_..."}'

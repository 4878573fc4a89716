"""
LSP's document methods for workflow scripts: decode, ask `language/`, convert, answer. Other documents get nothing.

Owns which documents are open, with their text. It keeps the text itself: pygls takes a form feed for a line end, which
LSP does not, and would then make later edits in the wrong place. It must not know runs; what of them is shown comes
through `Surroundings`. Everything here works in an untrusted folder and without a store.

Invariant: handlers of notifications do their work before they first wait, so edits are made in the client's order.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sidestep.language.completion import complete
from sidestep.language.diagnostics import diagnose
from sidestep.language.document import Document
from sidestep.language.fixes import fixes_in
from sidestep.language.hover import hover
from sidestep.language.navigation import definition, references
from sidestep.language.signature_help import signature_help
from sidestep.language.symbols import outline
from sidestep.lsp import language_answers as answers
from sidestep.lsp.language_offer import LANGUAGE_METHODS, RUN_ACTION
from sidestep.lsp.positions import edited, from_position, from_range
from sidestep.lsp.pushed_diagnostics import PushedDiagnostics
from sidestep.lsp.run_lenses import LensRefresh, code_lenses, failure_diagnostics, run_actions
from sidestep.model.errors import ScriptInvalid, ScriptNotFound
from sidestep.scripts.discovery import ScriptFinder, builtin_folder
from sidestep.scripts.file_uri import path_of_uri, uri_of_path
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.source_file import read_source_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidestep.language.document import Snapshot
    from sidestep.language.surroundings import Surroundings
    from sidestep.lsp.bridge import Feature
    from sidestep.lsp.pygls_server import PyglsServer
    from sidestep.lsp.script_runs import ScriptRuns
    from sidestep.model.problems import ScriptProblem
    from sidestep.settings import Settings


class LanguageMethods:
    """One connection's open scripts. Lives on the event loop's thread; reading scripts happens in others."""

    def __init__(
        self,
        server: PyglsServer,
        surroundings: Surroundings,
        runs: ScriptRuns,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        refresh_lenses: Callable[[Callable[[], None]], object],
    ) -> None:
        """
        Args:
            surroundings: `workflows`, `read` and `last_steps` of it are made here.
            runs: The runs of the scripts that are open.
            refresh_lenses: Asks the client to ask for its lenses again, and calls back when it has answered.
        """
        self._server = server
        self._settings = settings
        self._documents: dict[str, Document] = {}
        self._finder = ScriptFinder(user_folder=surroundings.user_folder, builtin=builtin_folder(), settings=settings)
        self._surroundings = replace(surroundings, workflows=self._workflows, read=self._read, last_steps=runs.steps)
        self._pushed = PushedDiagnostics(
            self._check, self._publish, loop.call_later, debounce_s=settings.diagnostics_debounce_s
        )
        self._runs = runs
        self._refresh = LensRefresh(refresh_lenses, loop.call_later, least_s=settings.lens_refresh_s)
        runs.listen(self._runs_changed)
        # The problems of a snapshot, kept for the code actions that follow.
        self._problems: dict[str, tuple[Snapshot, list[ScriptProblem]]] = {}
        # What the client was told last of a document.
        self._told: dict[str, tuple[Snapshot, list[dict[str, Any]]]] = {}
        for close in (self._pushed.close_all, runs.close, self._refresh.close):
            server.at_shutdown(close)

    def features(self) -> Mapping[str, Feature]:
        """What the server is to serve, by method."""
        requests: dict[str, Feature] = {
            "textDocument/codeAction": self._code_actions,
            "textDocument/codeLens": self._code_lenses,
            "textDocument/completion": self._completion,
            "textDocument/definition": self._definition,
            "textDocument/documentSymbol": self._symbols,
            "textDocument/hover": self._hover,
            "textDocument/references": self._references,
            "textDocument/signatureHelp": self._signature_help,
        }
        assert requests.keys() == LANGUAGE_METHODS, "Invariant: what is offered is served"
        return {
            **requests,
            "textDocument/didOpen": self._opened,
            "textDocument/didChange": self._changed,
            "textDocument/didClose": self._closed,
        }

    def is_unsaved(self, uri: str) -> bool:
        """Whether a script is open with other text than its file has. Blocking; in any thread."""
        document = self._documents.get(uri)
        saved = None if document is None else self._saved(document.path)
        return document is not None and saved is not None and saved != document.snapshot.text

    # -- Documents

    async def _opened(self, params: Any) -> None:
        item = params.text_document
        path = self._script_path(item.uri)
        if path is not None:
            document = self._documents[item.uri] = Document(path, item.text, item.version)
            self._pushed.open(item.uri, document)
            self._runs.watch(path)

    async def _changed(self, params: Any) -> None:
        document = self._documents.get(params.text_document.uri)
        if document is None:
            return
        text = document.text
        for change in params.content_changes:
            where = getattr(change, "range", None)
            if where is None:
                text = change.text
            else:
                text = edited(text, _pair(where.start), _pair(where.end), change.text, self._encoding)
        document.change(text, params.text_document.version)
        self._pushed.changed(params.text_document.uri)

    async def _closed(self, params: Any) -> None:
        uri = params.text_document.uri
        document = self._documents.pop(uri, None)
        if document is not None:
            self._runs.unwatch(document.path)
            self._problems.pop(uri, None)
            self._pushed.close(uri)

    # -- Requests

    async def _hover(self, params: Any) -> object:
        document = self._documents.get(params.text_document.uri)
        if document is not None:
            await self._runs.steps_known(document.path)

        def answer(snapshot: Snapshot) -> object:
            found = hover(snapshot, *self._place(snapshot, params), self._surroundings)
            as_markdown = self._server.offers("text_document", "hover", "content_format", default=["markdown"])
            return answers.hover_answer(snapshot, found, self._encoding, as_markdown=_has_markdown(as_markdown))

        return await self._answer(params, answer)

    async def _completion(self, params: Any) -> object:
        def answer(snapshot: Snapshot) -> object:
            items = complete(snapshot, *self._place(snapshot, params), self._surroundings)
            formats = self._server.offers(
                "text_document", "completion", "completion_item", "documentation_format", default=["markdown"]
            )
            listed = [
                answers.completion_item(snapshot, item, number, self._encoding, as_markdown=_has_markdown(formats))
                for number, item in enumerate(items)
            ]
            return {"isIncomplete": False, "items": listed}

        return await self._answer(params, answer)

    async def _signature_help(self, params: Any) -> object:
        return await self._answer(
            params,
            lambda snapshot: answers.signature_answer(signature_help(snapshot, *self._place(snapshot, params))),
        )

    async def _symbols(self, params: Any) -> object:
        def answer(snapshot: Snapshot) -> object:
            # The last text that was Python, placed in the present one.
            symbols = outline(snapshot)
            if self._server.offers("text_document", "document_symbol", "hierarchical_document_symbol_support"):
                return [answers.document_symbol(snapshot, symbol, self._encoding) for symbol in symbols]
            return list(answers.flat_symbols(snapshot, params.text_document.uri, symbols, self._encoding))

        return await self._answer(params, answer)

    async def _definition(self, params: Any) -> object:
        def answer(snapshot: Snapshot) -> object:
            places = definition(snapshot, *self._place(snapshot, params), self._surroundings)
            return [answers.location(place, self._encoding, self._uri_of) for place in places]

        return await self._answer(params, answer)

    async def _references(self, params: Any) -> object:
        def answer(snapshot: Snapshot) -> object:
            at = self._place(snapshot, params)
            with_definition = params.context.include_declaration
            places = references(snapshot, *at, self._surroundings, with_definition=with_definition)
            return [answers.location(place, self._encoding, self._uri_of) for place in places]

        return await self._answer(params, answer)

    async def _code_actions(self, params: Any) -> object:
        with_fixes, with_runs = _wants(params.context.only, "quickfix"), _wants(params.context.only, RUN_ACTION)
        if not with_fixes and not with_runs:
            return []
        uri = params.text_document.uri
        document = self._documents.get(uri)
        runs = await self._runs.known(document.path) if document is not None and with_runs else ()
        with_versions = bool(self._server.offers("workspace", "workspace_edit", "document_changes"))

        def answer(snapshot: Snapshot) -> object:
            wanted = from_range(snapshot, _pair(params.range.start), _pair(params.range.end), self._encoding)
            version = snapshot.version
            fixes = [
                answers.quick_fix(snapshot, uri, fix, self._encoding, version=version, with_versions=with_versions)
                for fix in (fixes_in(self._problems_of(uri, snapshot), wanted) if with_fixes else ())
            ]
            return fixes + (run_actions(snapshot, uri, runs, wanted) if with_runs else [])

        return await self._answer(params, answer)

    async def _code_lenses(self, params: Any) -> object:
        uri = params.text_document.uri
        document = self._documents.get(uri)
        runs = () if document is None else await self._runs.known(document.path)
        return await self._answer(params, lambda snapshot: code_lenses(snapshot, uri, runs, self._encoding))

    async def _answer(self, params: Any, answer: Callable[[Snapshot], object]) -> object:
        """What is said of an open script, worked out in a thread; None for any other document."""
        document = self._documents.get(params.text_document.uri)
        if document is None or document.snapshot.is_longer_than(self._settings.script_bytes_max):
            return None
        return await asyncio.to_thread(answer, document.snapshot)

    # -- What they share

    @property
    def _encoding(self) -> str:
        return self._server.position_encoding

    def _place(self, snapshot: Snapshot, params: Any) -> tuple[int, int]:
        return from_position(snapshot, *_pair(params.position), self._encoding)

    def _diagnose(self, snapshot: Snapshot) -> list[ScriptProblem]:
        return diagnose(snapshot, self._surroundings, bytes_max=self._settings.script_bytes_max)

    def _problems_of(self, uri: str, snapshot: Snapshot) -> list[ScriptProblem]:
        known = self._problems.get(uri)
        return known[1] if known is not None and known[0] is snapshot else self._diagnose(snapshot)

    def _check(self, snapshot: Snapshot) -> _Checked:
        """In a thread. A failed run that goes on meanwhile has the script checked anew."""
        problems = self._diagnose(snapshot)
        told = [answers.diagnostic(snapshot, problem, self._encoding) for problem in problems]
        failed = self._runs.failed(snapshot.path)
        if failed is not None:
            related = self._server.offers("text_document", "publish_diagnostics", "related_information")
            uri = self._uri_of(snapshot.path) or uri_of_path(snapshot.path)
            told += failure_diagnostics(snapshot, uri, failed, self._encoding, with_related=bool(related))
        return _Checked(problems, told)

    def _publish(self, uri: str, checked: tuple[Snapshot, _Checked] | None) -> None:
        if checked is None:
            self._told.pop(uri, None)
            self._server.publish_diagnostics(uri, None, [])
            return
        snapshot, (problems, told) = checked
        self._problems[uri] = (snapshot, problems)
        if self._told.get(uri) != (snapshot, told):
            # Checked anew because of runs or agents, and nothing came of it: the client has it already.
            self._told[uri] = (snapshot, told)
            self._server.publish_diagnostics(uri, snapshot.version, told)

    def _runs_changed(self, path: str, has_problems: bool) -> None:
        """There is news of the runs of an open script; checked anew is it only if its problems may be others."""
        self._refresh.changed()
        for uri, document in self._documents.items():
            if has_problems and document.path == path:
                self._pushed.again(uri)

    def _script_path(self, uri: str) -> str | None:
        """The path of a workflow script; None for any other document."""
        path, _ = path_of_uri(uri)
        if path is None or not self._surroundings.is_script(path):
            return None
        # Links in folders are followed, so that the script is the one that discovery finds; its own name stays.
        folder, name = os.path.split(path)
        return os.path.join(os.path.realpath(folder), name)

    def _uri_of(self, path: str) -> str | None:
        return next((uri for uri, document in list(self._documents.items()) if document.path == path), None)

    def _workflows(self, folder: str | None) -> Mapping[str, str]:
        scripts = self._finder.files(None if folder is None else FolderKey(folder))
        return {name: script.path for name, script in scripts.items() if script.blocked_reason is None}

    def _read(self, path: str) -> str | None:
        """The text of a script, as an editor that has it open has it."""
        document = next((each for each in list(self._documents.values()) if each.path == path), None)
        if document is not None:
            return document.snapshot.text
        return self._saved(path)

    def _saved(self, path: str) -> str | None:
        try:
            return read_source_file(path, file=path, bytes_max=self._settings.script_bytes_max)
        except (ScriptNotFound, ScriptInvalid):
            return None


class _Checked(NamedTuple):
    """What is wrong with a script, and the same with its failed run as the client is told."""

    problems: list[ScriptProblem]
    told: list[dict[str, Any]]


def _pair(position: Any) -> tuple[int, int]:
    return position.line, position.character


def _wants(only: Any, kind: str) -> bool:
    """Whether a client that may want only some kinds of actions wants this one."""
    return only is None or any(str(getattr(each, "value", each)) in ("", kind) for each in only)


def _has_markdown(formats: Any) -> bool:
    return formats is None or any(str(getattr(each, "value", each)) == "markdown" for each in formats)

"""Group `lifecycle`, first half: the handshake and what may come around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sidestep_protocol.capabilities import ServerWorkflowCapability
from sidestep_protocol.conformance.answers import refused, result_of
from sidestep_protocol.conformance.check import CheckFailed, check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message
    from sidestep_protocol.conformance.trial import Trial

# What LSP lets a server send before it has answered `initialize`.
_ALLOWED_EARLY = frozenset({"window/showMessage", "window/logMessage", "window/showMessageRequest", "telemetry/event"})


@check("initialize", own_server=True)
async def initialize_says_what_the_server_speaks(trial: Trial) -> None:
    """The answer to initialize has the whole capability: version 1, its hash, the store, the features, the limits."""
    server = await trial.raw_server()
    result = await server.initialize(folder_uri=trial.folder.as_uri())
    must(bool(result.get("serverInfo", {}).get("name")), "serverInfo with a name", result.get("serverInfo"))
    try:
        capability = msgspec.convert(server.capability, ServerWorkflowCapability)
    except msgspec.ValidationError as problem:
        raise CheckFailed("capabilities.experimental.workflow of the contract's shape", str(problem)) from problem
    must_equal(capability.protocol_version, 1, "protocolVersion")
    must_equal(capability.store_id is None or bool(capability.store_id), True, "a storeId that is null or a word")
    must(capability.limits.get("messageBytesMax", 0) > 0, "limits.messageBytesMax", capability.limits)


@check("G8", own_server=True)
async def nothing_comes_before_the_initialize_result(trial: Trial) -> None:
    """Before the answer to initialize nothing is sent but what LSP allows there."""
    server = await trial.raw_server()
    early = server.request("workflow/list")
    refused(await server.response(early, "workflow/list before initialize"), "notInitialized", "workflow/list")
    await server.initialize(folder_uri=trial.folder.as_uri())

    def is_early(message: Message) -> bool:
        return message.get("method") not in (None, *_ALLOWED_EARLY)

    end = next(at for at, message in enumerate(server.received) if "capabilities" in (message.get("result") or {}))
    told = [message for message in server.received[:end] if is_early(message)]
    must(not told, "no message of the server's before the answer to initialize", told)


@check("W13", own_server=True)
async def requests_before_initialize_are_refused(trial: Trial) -> None:
    """Every request before initialize is answered notInitialized, and initialize works after it."""
    server = await trial.raw_server()
    for method in ("workflow/health", "workflow/start", "shutdown"):
        await server.refusal("notInitialized", method)
    await server.initialize(folder_uri=trial.folder.as_uri())
    await server.result("workflow/health")


@check("W13")
async def a_second_initialize_is_refused(trial: Trial) -> None:
    """A second initialize is answered reinitialize, and changes nothing."""
    server = await trial.server()
    await server.refusal("reinitialize", "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    await server.result("workflow/health")


@check("initialized", own_server=True)
async def what_follows_initialize_at_once_is_served_after_it(trial: Trial) -> None:
    """A request sent before the answer to initialize came is held back and served after it."""
    server = await trial.raw_server()
    shake = server.new_id()
    ask = server.new_id()
    workflow = {"experimental": {"workflow": {"protocolVersions": [1]}}}
    params: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": workflow}
    server.send(
        {"id": shake, "method": "initialize", "params": params},
        {"method": "initialized", "params": {}},
        {"id": ask, "method": "workflow/health", "params": {}},
    )
    result_of(await server.response(ask), "workflow/health right behind initialize")
    order = [message.get("id") for message in server.received if "method" not in message]
    must_equal(order, [shake, ask], "the order of the two answers")


@check("initialize", own_server=True)
async def no_common_version_refuses_workflows_only(trial: Trial) -> None:
    """A host that names no version of the server's is let in, and workflow requests are refused."""
    server = await trial.raw_server()
    await server.initialize(folder_uri=trial.folder.as_uri(), versions=[99_999])
    error = await server.refusal("protocolVersionUnsupported", "workflow/list")
    must(1 in error["data"].get("supported", [1]), "data.supported names version 1", error["data"])


@check("initialize", own_server=True)
async def a_host_without_the_capability_is_a_plain_editor(trial: Trial) -> None:
    """An initialize without experimental capabilities, options or folders succeeds."""
    server = await trial.raw_server()
    params: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": {}}
    result = await server.result("initialize", params)
    must("capabilities" in result, "capabilities", result)


@check("W14")
async def unknown_methods_are_told_apart(trial: Trial) -> None:
    """An unknown request is answered methodNotFound, also one of `$/`; an unknown notification is passed over."""
    server = await trial.server()
    await server.refusal("methodNotFound", "workflow/noSuchMethod")
    await server.refusal("methodNotFound", "$/noSuchRequest")
    server.notify("$/noSuchNotification")
    server.notify("workflow/noSuchNotification")
    server.send({"id": 987_654, "result": "nobody asked for this"})
    await server.round_trip()
    strange = [m for m in server.received if m.get("id") in (None, 987_654) and "method" not in m]
    must(not strange, "no answer to a notification, or to an answer", strange)


@check("Folders and trust", "start", "trust", own_server=True)
async def nothing_runs_in_a_folder_that_is_not_trusted(trial: Trial) -> None:
    """A start in an untrusted folder is refused and stores nothing; once the folder is trusted, it works."""
    server = await trial.server(trusted=False)
    params = trial.start_params(trial.quick())
    error = await server.refusal("workspaceUntrusted", "workflow/start", params)
    must(bool(error["data"].get("folder")), "data.folder", error["data"])
    runs = (await server.result("workflow/list", {"workspaceFolder": server.folder_uri}))["runs"]
    must_equal(runs, [], "the runs of the folder")
    await server.result("workflow/trust", {"folders": [error["data"]["folder"]], "trusted": True})
    outcome = await server.result("workflow/start", params)
    must_equal(outcome["status"], "completed", "the status of a run in a trusted folder")


@check("workflow/trust", "start", "trust", own_server=True)
async def withdrawing_trust_interrupts_what_runs_there(trial: Trial) -> None:
    """Runs of a folder whose trust is withdrawn are interrupted before the answer."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    await server.result("workflow/trust", {"folders": [server.folder_uri], "trusted": False})
    must_equal((await trial.run(server, run_id))["status"], "interrupted", "the run's status at the answer")
    outcome = result_of(await server.response(number), "the waiting start")
    must_equal(outcome["status"], "interrupted", "the status of the outcome")


CHECKS = (
    initialize_says_what_the_server_speaks,
    nothing_comes_before_the_initialize_result,
    requests_before_initialize_are_refused,
    a_second_initialize_is_refused,
    what_follows_initialize_at_once_is_served_after_it,
    no_common_version_refuses_workflows_only,
    a_host_without_the_capability_is_a_plain_editor,
    unknown_methods_are_told_apart,
    nothing_runs_in_a_folder_that_is_not_trusted,
    withdrawing_trust_interrupts_what_runs_there,
)

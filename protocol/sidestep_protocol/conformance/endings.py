"""Group `lifecycle`, second half: how the process ends, and with which exit code."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from sidestep_protocol.conformance.answers import refused
from sidestep_protocol.conformance.check import check, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.trial import Trial


@check("shutdown", own_server=True)
async def shutdown_is_answered_and_exit_ends_with_0(trial: Trial) -> None:
    """Shutdown is answered null; after it only exit is heeded, and the exit code is 0."""
    server = await trial.server()
    must_equal(await server.result("shutdown"), None, "the result of shutdown")
    await server.refusal("afterShutdown", "workflow/health")
    server.notify("exit")
    must_equal(await server.exit_code(), 0, "the exit code after shutdown and exit")


@check("exit", own_server=True)
async def exit_without_shutdown_ends_with_1(trial: Trial) -> None:
    """Exit without shutdown ends the process with exit code 1."""
    server = await trial.server()
    server.notify("exit")
    must_equal(await server.exit_code(), 1, "the exit code after exit alone")


@check("exit", own_server=True)
async def exit_as_the_first_message_ends_with_1(trial: Trial) -> None:
    """Exit before initialize ends the process too."""
    server = await trial.raw_server()
    server.notify("exit")
    must_equal(await server.exit_code(), 1, "the exit code after exit as the first message")


@check("W18", own_server=True)
async def the_end_of_input_ends_with_1(trial: Trial) -> None:
    """The end of input without shutdown ends the process with exit code 1."""
    server = await trial.server()
    server.close_input()
    must_equal(await server.exit_code(), 1, "the exit code at the end of input")


@check("W18", own_server=True)
async def the_end_of_input_inside_a_message_ends_with_1(trial: Trial) -> None:
    """Input that ends in the middle of a body ends the process as well."""
    server = await trial.server()
    server.send_bytes(b'Content-Length: 100\r\n\r\n{"jsonrpc"')
    server.close_input()
    must_equal(await server.exit_code(), 1, "the exit code when the input ends inside a body")


@check("shutdown", own_server=True)
async def the_end_of_input_after_shutdown_ends_with_0(trial: Trial) -> None:
    """After shutdown the end of input is as good as exit."""
    server = await trial.server()
    await server.result("shutdown")
    server.close_input()
    must_equal(await server.exit_code(), 0, "the exit code at the end of input after shutdown")


@check("W20", own_server=True)
async def a_signal_drains_and_ends_with_its_code(trial: Trial) -> None:
    """SIGTERM ends the process, with exit code 143."""
    server = await trial.server()
    server.send_signal(signal.SIGTERM)
    must_equal(await server.exit_code(), 143, "the exit code after SIGTERM")


@check("cancellation row 8", "start", own_server=True)
async def a_waiting_request_is_told_that_the_server_drains(trial: Trial) -> None:
    """At shutdown a waiting start is answered serverDraining with its run, also when exit follows at once."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    await server.result("shutdown")
    server.notify("exit")
    answer = await server.response(number, "the start that waited when the server drained")
    data = refused(answer, "serverDraining", "the waiting start")["data"]
    seen = (data.get("runId"), data.get("status"), data.get("resumable"))
    must_equal(seen, (run_id, "interrupted", True), "runId, status and resumable of the error")
    must_equal(await server.exit_code(), 0, "the exit code")
    must_equal(len(server.responses(number)), 1, "the answers to the start")


CHECKS = (
    shutdown_is_answered_and_exit_ends_with_0,
    exit_without_shutdown_ends_with_1,
    exit_as_the_first_message_ends_with_1,
    the_end_of_input_ends_with_1,
    the_end_of_input_inside_a_message_ends_with_1,
    the_end_of_input_after_shutdown_ends_with_0,
    a_signal_drains_and_ends_with_its_code,
    a_waiting_request_is_told_that_the_server_drains,
)

"""Group `framing`, second half: what stands in a body, whether it is JSON, JSON-RPC, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance.answers import refused, result_of
from sidestep_protocol.conformance.check import check, must, must_equal
from sidestep_protocol.conformance.scripts import echoing

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial


async def _answer_under_null(server: ServerProcess, body: bytes) -> Message:
    """The one answer under id null to this body."""
    since = server.mark()
    server.send_bodies(body)
    await server.round_trip()
    answer = await server.response(None, f"the body {body[:60]!r}", since=since)
    told = [message for message in server.received[since:] if message.get("id", 0) is None]
    must(len(told) == 1, f"one answer to the body {body[:60]!r}", told)
    return answer


@check("W1")
async def a_body_that_is_no_json_is_refused_under_null(trial: Trial) -> None:
    """A body that is no JSON is answered parseError under null."""
    server = await trial.server()
    for body in (b"{", b"", b'{"jsonrpc": "2.0", "id": 1, "method": ', b"not JSON"):
        refused(await _answer_under_null(server, body), "parseError", f"the body {body!r}")


@check("W5")
async def bytes_that_are_no_text_are_refused_under_null(trial: Trial) -> None:
    """A body with invalid UTF-8 is answered parseError under null."""
    server = await trial.server()
    body = b'{"jsonrpc":"2.0","id":"\xff\xfe","method":"workflow/health"}'
    refused(await _answer_under_null(server, body), "parseError", "invalid UTF-8")


@check("W6", own_server=True)
async def deep_nesting_and_huge_numbers_are_survived(trial: Trial) -> None:
    """A body nested 200,000 deep, and numbers of 5,000 digits, are answered; the next request is served."""
    server = await trial.server()
    number = server.new_id()
    deep = b"[" * 200_000 + b"]" * 200_000
    huge = b"9" * 5_000
    for value in (deep, huge):
        server.send_bodies(b'{"jsonrpc":"2.0","id":%d,"method":"workflow/list","params":{"x":%b}}' % (number, value))
        await server.until(
            lambda: [m for m in server.received if m.get("id", 0) in (None, number) and "method" not in m] or None,
            f"an answer to a body with {value[:10]!r} ...",
        )
        server.received.clear()
        await server.round_trip()


@check("W8")
async def a_body_that_is_no_message_is_refused(trial: Trial) -> None:
    """A batch is answered batch; a number, text, null or an object without a method is answered invalidRequest."""
    server = await trial.server()
    for body in (b"[]", b'[{"jsonrpc":"2.0","id":1,"method":"workflow/health"}]'):
        refused(await _answer_under_null(server, body), "batch", f"the body {body!r}")
    for body in (b"42", b"null", b'"x"', b"{}", b'{"jsonrpc":"2.0","method":7}'):
        refused(await _answer_under_null(server, body), "invalidRequest", f"the body {body!r}")
    number = server.new_id()
    server.send({"id": number, "method": 7})
    refused(await server.response(number, "a method that is a number"), "invalidRequest", "a method that is a number")


@check("W9")
async def ids_that_are_neither_integer_nor_text_are_refused(trial: Trial) -> None:
    """An id that is a fraction, true, an object or null is answered badId under null."""
    server = await trial.server()
    for bad in (b"1.5", b"true", b"{}"):
        body = b'{"jsonrpc":"2.0","id":%b,"method":"workflow/health"}' % bad
        refused(await _answer_under_null(server, body), "badId", f"the id {bad.decode()}")


@check("W9")
async def an_id_comes_back_as_it_was(trial: Trial) -> None:
    """The ids 1 and "1" are two, the empty text is one, and a large integer comes back whole."""
    server = await trial.server()
    ids: tuple[Any, ...] = (900_001, "900001", "", 2**53 + 1)
    server.send(*({"id": one, "method": "workflow/health"} for one in ids))
    for one in ids:
        result_of(await server.response(one), "workflow/health")
    await server.round_trip()
    must_equal([len(server.responses(one)) for one in ids], [1, 1, 1, 1], "the answers to each id")


@check("W10", "start")
async def an_id_in_flight_is_refused_and_free_after_its_answer(trial: Trial) -> None:
    """A request whose id is in flight is answered duplicateId under null; after the answer the id is free again."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    server.send({"id": number, "method": "workflow/health", "params": {}})
    error = refused(await server.response(None, "an id in flight"), "duplicateId", "an id in flight")
    must_equal(error["data"].get("id"), number, "data.id")
    must_equal(server.responses(number), [], "answers to the request that had the id first, while its run goes on")
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(number, "the request that had the id first")
    since = server.mark()
    server.send({"id": number, "method": "workflow/health", "params": {}})
    result_of(await server.response(number, "the id used again", since=since), "workflow/health")


@check("W11")
async def params_may_be_absent_or_null_and_nothing_but_an_object(trial: Trial) -> None:
    """Absent and null params count as {}; an array is answered invalidParams; unknown fields are ignored."""
    server = await trial.server()
    for shape in ({}, {"params": None}, {"params": {"noSuchField": 1}}):
        number = server.new_id()
        server.send({"id": number, "method": "workflow/list", **shape})
        result_of(await server.response(number), f"workflow/list with {shape or 'no params'}")
    error = await server.refusal("invalidParams", "workflow/list", [1])
    must(isinstance(error["data"].get("path"), str), "data.path", error["data"])


@check("W12", "start")
async def payload_keys_travel_untouched(trial: Trial) -> None:
    """Keys inside args and data come back as they are, whatever they mean elsewhere."""
    server = await trial.server()
    words = ("jsonrpc", "method", "id", "type_name", "my-key", "snake_case", "camelCase", "class", "")
    value = {word: number for number, word in enumerate(words)}
    outcome = await server.result("workflow/start", trial.start_params(echoing(), args={"value": value}))
    must_equal(outcome.get("result", {}).get("data"), value, "result.data")
    run = await trial.run(server, outcome["runId"])
    must_equal(run.get("args"), {"value": value}, "args of the run")


CHECKS = (
    a_body_that_is_no_json_is_refused_under_null,
    bytes_that_are_no_text_are_refused_under_null,
    deep_nesting_and_huge_numbers_are_survived,
    a_body_that_is_no_message_is_refused,
    ids_that_are_neither_integer_nor_text_are_refused,
    an_id_comes_back_as_it_was,
    an_id_in_flight_is_refused_and_free_after_its_answer,
    params_may_be_absent_or_null_and_nothing_but_an_object,
    payload_keys_travel_untouched,
)

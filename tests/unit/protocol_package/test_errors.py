"""The table of reasons and codes."""

from __future__ import annotations

import msgspec
import pytest

from sidestep_protocol.errors import ERROR_CODES, ERROR_DATA, CancelledData, ErrorData, ResponseError

# As the contract lists them: code -> reasons.
CONTRACT = {
    -32700: {"parseError", "badFraming"},
    -32600: {
        "invalidRequest",
        "batch",
        "duplicateId",
        "afterShutdown",
        "reinitialize",
        "badId",
        "payloadTooLarge",
    },
    -32601: {"methodNotFound"},
    -32602: {"invalidParams", "workspaceInvalid"},
    -32603: {"internal"},
    -32002: {"notInitialized"},
    -32800: {"requestCancelled"},
    -32802: {"serverDraining"},
    -32803: {"requestFailed", "leaseLost", "claimSuperseded"},
    -31001: {"overloaded"},
    -31002: {"runNotFound"},
    -31003: {"invalidTransition"},
    -31004: {"runLeased"},
    -31005: {"startKeyConflict"},
    -31006: {"workspaceUntrusted"},
    -31007: {"scriptInvalid"},
    -31008: {"scriptNotFound"},
    -31009: {"storeUnavailable"},
    -31010: {"capabilityMissing"},
    -31011: {"interactionNotPending"},
    -31012: {"protocolVersionUnsupported"},
    -31013: {"argsInvalid"},
    -31014: {"answerInvalid"},
}


def test_every_reason_has_the_code_of_the_contract() -> None:
    assert {code: {reason for reason in ERROR_CODES if ERROR_CODES[reason] == code} for code in CONTRACT} == CONTRACT
    assert set(ERROR_CODES.values()) == set(CONTRACT)


def test_data_structs_belong_to_known_reasons_and_carry_the_reason() -> None:
    assert set(ERROR_DATA) <= set(ERROR_CODES)
    assert all(issubclass(kind, ErrorData) for kind in ERROR_DATA.values())


def test_a_cancelled_start_without_a_run_says_null() -> None:
    data = CancelledData(reason="requestCancelled", run_id=None)
    assert msgspec.json.encode(data) == b'{"reason":"requestCancelled","runId":null}'


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"code":-31002,"message":"m","data":{"reason":"runNotFound","my-key":1}}', "runNotFound"),
        (b'{"code":1,"message":"m"}', ""),
        (b'{"code":1,"message":"m","data":"text"}', ""),
        (b'{"code":1,"message":"m","data":{"reason":7}}', ""),
    ],
)
def test_the_reason_is_found_in_whatever_a_peer_sends(raw: bytes, reason: str) -> None:
    error = msgspec.json.decode(raw, type=ResponseError)
    assert error.reason == reason
    assert msgspec.json.encode(error) == raw

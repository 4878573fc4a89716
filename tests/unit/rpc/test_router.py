"""W6, W11, W12: params meet their type, or say where they do not."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from sidestep.rpc.errors import RpcError
from sidestep.rpc.router import Route, Router, decode_params


class Script(msgspec.Struct):
    name: str


class Params(msgspec.Struct, rename="camel"):
    run_id: str = "none"
    script: Script | None = None
    paths: list[str] = []
    args: dict[str, Any] = {}


async def unused(params: Any, context: Any) -> object:
    raise AssertionError("only decoded")


ROUTE: Route[Params] = Route("test/params", Params, unused)


def decode(raw: bytes | None) -> Params:
    return Router([ROUTE]).decode(ROUTE, None if raw is None else msgspec.Raw(raw))


@pytest.mark.parametrize("raw", [None, b"null", b"{}"])
def test_w11_absent_and_null_params_are_an_empty_object(raw: bytes | None) -> None:
    assert decode(raw) == Params()


def test_w12_keys_of_payloads_stay_as_they_are() -> None:
    args = {"jsonrpc": 1, "method": 2, "id": 3, "type_name": 4, "my-key": 5, "class": 6, "": 7, "runId": 8}
    raw = msgspec.json.encode({"runId": "r", "args": args, "workDoneToken": 1, "unknown": {}})
    assert decode(raw) == Params(run_id="r", args=args)


@pytest.mark.parametrize(
    ("raw", "path", "expected"),
    [
        (b"[]", "$", "object"),
        (b"5", "$", "object"),
        (b'{"runId":5}', "$.runId", "str"),
        (b'{"script":{}}', "$.script.name", "a value (required)"),
        (b'{"paths":["a",5]}', "$.paths[1]", "str"),
        (b'{"runId":"\xff"}', "$", "valid UTF-8 JSON"),
        (b'{"runId":"\\ud800"}', "$.runId", "text without lone surrogates: half of a pair is no character"),
        (b'{"args":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}", "$", "params nested less deeply"),
    ],
)
def test_w11_ill_typed_params_say_where_and_what(raw: bytes, path: str, expected: str) -> None:
    with pytest.raises(RpcError) as caught:
        decode(raw)
    error = caught.value.error
    assert error.code == -32602
    assert error.data["reason"] == "invalidParams"
    assert error.data["path"] == path
    assert expected in error.data["expected"]


def test_params_without_a_route_are_checked_alike() -> None:
    assert decode_params(Params, None) == Params()
    with pytest.raises(RpcError):
        decode_params(Params, msgspec.Raw(b"[]"))


def test_an_unknown_field_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    router = Router([ROUTE])
    for _ in range(3):
        router.decode(ROUTE, msgspec.Raw(b'{"runID":"typo","workDoneToken":"t"}'))
    assert [record.getMessage() for record in caplog.records] == ["test/params: unknown field 'runID' ignored"]

"""
A server of one page, to test the client against: standard library only, so that it starts at once.

It answers `echo` with its params, `fail` with an error, `ask` with what the client answered to a request of ours; see
`answer`. `slow` waits for its cancellation. Its exit code is 0 after `shutdown` and `exit`, else 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

CANCELLED = {"code": -32800, "message": "cancelled", "data": {"reason": "requestCancelled"}}
CAPABILITY = {
    "protocolVersion": 1,
    "serverVersion": "0",
    "schemaHash": "h",
    "storeId": None,
    "serverEpoch": "e",
    "features": [],
    "limits": {},
}


def read() -> dict[str, Any]:
    length = 0
    while (line := sys.stdin.buffer.readline()) not in (b"\r\n", b""):
        length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length)) if length else sys.exit(1)


def write(**message: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    sys.stdout.buffer.flush()


def raw(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def ask(params: dict[str, Any]) -> Any:
    """Ask the client; withdraw the question at once if told to."""
    write(id="s1", method=params["method"], params=params.get("params"))
    if params.get("withdraw"):
        write(method="$/cancelRequest", params={"id": "s1"})
    reply = read()
    return {key: reply[key] for key in ("id", "result", "error") if key in reply}


def answer(method: str, params: dict[str, Any]) -> Any:
    match method:
        case "initialize":
            wanted = params["initializationOptions"].get("defaultAgent")
            return {"capabilities": {"experimental": {"workflow": wanted or CAPABILITY, "sent": params}}}
        case "tell":
            for told in params["told"]:
                write(method=told["method"], params=told["params"])
            return {}
        case "ask":
            return ask(params)
        case "garbage":
            raw(b"printed by a library\nContent-Length: 1\r\n\r\n{")
            write(id=None, error={"code": -32700, "message": "no JSON"})
            return {}
        case "wrong":
            return params["result"]
        case "die":
            write(method="last/words", params={})
            os._exit(3)
        case "orphan":
            # A grandchild keeps our stdout open after our death, until its stdin, which is ours, closes.
            subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"])
            os._exit(4)
        case "close":
            os.close(1)
            sys.stdin.read()
            sys.exit(5)
        case "flood stderr":
            os.write(2, b"log\n" * 100_000)
            return {}
        case _:
            return params


def main() -> None:
    stopped = False
    slow: list[Any] = []
    while True:
        message = read()
        method, params, request = message["method"], message.get("params") or {}, message.get("id")
        match method:
            case "exit":
                sys.exit(0 if stopped else 1)
            case "$/cancelRequest":
                if params["id"] in slow:
                    write(id=params["id"], error=CANCELLED)
                    write(method="slow/ended", params=params)
                else:
                    write(method="cancelled/unknown", params=params)
            case "slow":
                slow.append(request)
                write(method="slow/began", params={"id": request})
            case "fail":
                write(id=request, error=params)
            case _ if request is not None:
                stopped = stopped or method == "shutdown"
                write(id=request, result=None if method == "shutdown" else answer(method, params))


if __name__ == "__main__":
    main()

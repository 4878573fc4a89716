"""The method table, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import sidestep_protocol
from sidestep_protocol.methods import LSP_METHODS, METHODS, Direction, Kind, Method, find_method

PACKAGE = Path(sidestep_protocol.__file__).parent


@pytest.mark.parametrize("method", [*METHODS.values(), *LSP_METHODS.values()], ids=lambda method: method.name)
def test_every_method_has_decoders(method: Method) -> None:
    """What each one takes is an object: a list never decodes, an object or a complaint about its fields does."""
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        method.decode_params(b"[]")
    try:
        assert isinstance(method.decode_params(b"{}"), method.params)
    except msgspec.ValidationError as problem:
        assert "required field" in str(problem) or "exactly one" in str(problem)  # noqa: PT017
    assert method.is_request is (method.kind is Kind.REQUEST)
    assert method.is_request or method.result is None


def test_the_two_tables_are_apart() -> None:
    assert all(name.startswith("workflow/") for name in METHODS)
    assert not any(name.startswith("workflow/") for name in LSP_METHODS)
    assert all(method.result is not None for method in METHODS.values() if method.is_request)
    for name, method in {**METHODS, **LSP_METHODS}.items():
        assert method.name == name
        assert find_method(name) is method
    assert find_method("workflow/nothing") is None


def test_who_sends_what() -> None:
    to_client = {name for name, method in METHODS.items() if method.direction is Direction.SERVER_TO_CLIENT}
    asked = {name for name in to_client if METHODS[name].is_request}
    assert asked == {"workflow/runTask", "workflow/interact"}
    assert len(to_client) == 9
    assert LSP_METHODS["$/cancelRequest"].direction is Direction.BOTH


@pytest.mark.parametrize("raw", [None, b"", b"null", b" null ", b"{}", msgspec.Raw(b""), msgspec.Raw(b"{}")])
def test_absent_params_are_an_empty_object(raw: bytes | msgspec.Raw | None) -> None:
    """W11: no params, null."""
    assert METHODS["workflow/list"].decode_params(raw) == METHODS["workflow/list"].params()


def test_a_request_without_result_type_answers_anything() -> None:
    assert LSP_METHODS["shutdown"].decode_result(b"null") is None


def test_a_result_that_fits_neither_form_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        METHODS["workflow/start"].decode_result(b'{"runId":"r"}')


def modules_after(statement: str) -> set[str]:
    """The modules a fresh interpreter has loaded after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_method_table_loads_nothing_slow() -> None:
    """`serve` imports it before its first reply: no event loop, no client, no schema."""
    loaded = modules_after("import sidestep_protocol.methods, sidestep_protocol.framing, sidestep_protocol.errors")
    slow = {"asyncio", "ssl", "sidestep", "pygls", "lsprotocol", "hashlib"}
    assert loaded & slow == set()
    assert loaded & {"sidestep_protocol.client", "sidestep_protocol.schema"} == set()


@pytest.mark.slow
def test_the_client_needs_nothing_but_msgspec() -> None:
    loaded = modules_after("import sidestep_protocol.client")
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert foreign <= {"__main__", "msgspec", "sidestep_protocol", "typing_extensions"} | _site_modules()


def _site_modules() -> set[str]:
    """What the interpreter loads by itself: hooks of the environment."""
    return {name.partition(".")[0] for name in modules_after("pass")}

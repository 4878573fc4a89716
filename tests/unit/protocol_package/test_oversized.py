"""W7, W25: whose answer a body was that nobody may read, told from its first and last bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidestep_protocol.framing import ENDS_BYTES
from sidestep_protocol.oversized import answered_id

LONG = "x" * 2 * ENDS_BYTES


def check_answered(body: str | bytes, wanted: int | str | None) -> None:
    data = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    assert answered_id(data[:ENDS_BYTES], data[-ENDS_BYTES:]) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f'{{"jsonrpc":"2.0","id":5,"result":"{LONG}"}}', 5),
        (f'{{"result":"{LONG}","id":5}}', 5),
        (f'{{"result":["{LONG}"],"id":"sidestep-5","jsonrpc":"2.0"}}', "sidestep-5"),
        (f'{{ "result" : "{LONG}" ,\n "error" : null , "jsonrpc" : "2.0" , "id" : "a" }}\n', "a"),
        (f'{{"jsonrpc":"2.0","error":{{"code":1,"message":"{LONG}"}},"id":-7}}', -7),
        # Text that only looks like the end of a message.
        (f'{{"result":"{LONG},\\"id\\":5"}}', None),
        (f'{{"result":{{"a":"{LONG}","id":5}}}}', None),
        (f'{{"result":"{LONG}\\\\\\\\","id":5}}', 5),
        (f'{{"result":"{LONG}","id":5', None),
        (f'[{{"result":"{LONG}","id":5}}]', None),
        # A request, wherever it says so.
        (f'{{"id":5,"method":"a","result":"{LONG}"}}', None),
        (f'{{"result":"{LONG}","id":5,"method":"a"}}', None),
        (f'{{"params":"{LONG}","id":5}}', None),
        (f'{{"result":null,"params":"{LONG}","id":5}}', None),
        # No id of ours, or none that can be found.
        (f'{{"result":"{LONG}","id":true}}', None),
        (f'{{"result":"{LONG}","id":1.5}}', None),
        (f'{{"result":"{LONG}","id":5,"more":["{LONG}"]}}', None),
        (f'{{"result":"null,{LONG}","id":5}}', 5),
        ("", None),
        ("{", None),
        ('{"result":', None),
    ],
)
def test_an_answer_is_named_by_either_end(body: str, wanted: int | str | None) -> None:
    check_answered(body, wanted)


_texts = st.text(st.sampled_from('"\\:,{}[]id result5 \n'), max_size=30)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(["result", "error"]),
    before=_values,
    after=_values,
    request_id=st.integers() | st.text(max_size=20),
    order=st.permutations(["jsonrpc", "id", "long"]),
    indent=st.sampled_from([None, 1]),
    separators=st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)
def test_whatever_the_answer_is_its_id_is_found_or_nothing_is(
    name: str, before: Any, after: Any, request_id: int | str, order: list[str], indent: Any, separators: Any
) -> None:
    """Ids that need an escape are found in the beginning alone; none of ours does."""
    members = {"jsonrpc": "2.0", "id": request_id, "long": [before, LONG, after]}
    message = {(name if each == "long" else each): members[each] for each in order}
    body = json.dumps(message, indent=indent, separators=separators).encode()
    found = answered_id(body[:ENDS_BYTES], body[-ENDS_BYTES:])
    is_plain = "\\" not in json.dumps(request_id)
    assert found == request_id or (found is None and not is_plain)


@given(beginning=st.binary(max_size=80), ending=st.binary(max_size=80))
def test_no_bytes_raise(beginning: bytes, ending: bytes) -> None:
    answered_id(b'{"result":' + beginning, ending + b"}")
    answered_id(beginning, ending)

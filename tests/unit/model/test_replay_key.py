"""J2: the identity of a step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidestep.model.replay_key import canonical_json, hash_text, step_key, task_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    """The same JSON with every object's members in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
@given(JSON)
def test_j2_the_order_of_members_makes_no_difference(value: Any) -> None:
    assert canonical_json(value) == canonical_json(shuffled(value))
    assert json.loads(canonical_json(value)) == value
    assert step_key("a", "command", value) == step_key("a", "command", shuffled(value))


@pytest.mark.slow
@given(JSON, JSON)
def test_j2_different_inputs_have_different_keys(one: Any, other: Any) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert (step_key("a", "command", one) == step_key("a", "command", other)) is same


def test_j2_id_and_kind_are_part_of_the_key_and_do_not_run_into_each_other() -> None:
    keys = {step_key("a", "b", None), step_key("ab", "", None), step_key("", "ab", None), step_key("a", "b", {})}
    assert len(keys) == 4
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {"a": float("nan")}])
def test_j2_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: "a"}, [{"a": {None: 1}}], {"a": {1, 2}}, b"x", object(), ({True: 1},)])
def test_j2_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = [1]
    value.append({"a": value})
    with pytest.raises((ValueError, RecursionError)):
        canonical_json(value)


def test_a_text_with_a_lone_surrogate_has_a_hash() -> None:
    assert hash_text("\ud800") != hash_text("\ud801")
    assert hash_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_task_id_is_the_same_each_time_and_another_for_each_attempt() -> None:
    asked = [("run_1", "k", 1), ("run_1", "k", 2), ("run_2", "k", 1), ("run_1", "l", 1)]
    assert len({task_id(*one) for one in asked + asked}) == 4

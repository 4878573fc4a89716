"""The one table of primitives agrees with the stubs that authors import."""

from __future__ import annotations

import inspect

import pytest

import sidestep
from sidestep.scripts.primitives import PRIMITIVES, Kind

KINDS = {
    # By position or, for who writes it, by name all the same: the stubs say `/` so that the details may have that name.
    inspect.Parameter.POSITIONAL_ONLY: Kind.POSITIONAL,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: Kind.POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY: Kind.KEYWORD,
    inspect.Parameter.VAR_POSITIONAL: Kind.REST,
    inspect.Parameter.VAR_KEYWORD: Kind.DETAILS,
}


def test_the_table_has_every_name_that_scripts_import() -> None:
    assert sorted(PRIMITIVES) == sorted(sidestep.__all__)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_each_primitive_has_the_parameters_of_its_stub(name: str) -> None:
    signature = inspect.signature(getattr(sidestep, name))
    stub = [
        (each.name, KINDS[each.kind], each.default is inspect.Parameter.empty and each.kind in _GIVEN)
        for each in signature.parameters.values()
    ]
    table = [(each.name, each.kind, each.required) for each in PRIMITIVES[name].parameters]
    assert table == stub


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_each_primitive_that_gives_a_coroutine_is_known_as_such(name: str) -> None:
    returns = str(inspect.signature(getattr(sidestep, name)).return_annotation)
    assert returns.startswith("Step[") == PRIMITIVES[name].is_awaited
    assert PRIMITIVES[name].is_step == (PRIMITIVES[name].parameter("id") is not None)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_each_choice_is_the_stubs(name: str) -> None:
    for parameter in PRIMITIVES[name].parameters:
        annotation = str(inspect.signature(getattr(sidestep, name)).parameters[parameter.name].annotation)
        literal = annotation.replace("OnError", 'Literal["raise", "return"]').replace("'", '"')
        listed = ", ".join(f'"{choice}"' for choice in parameter.choices)
        assert literal == (f"Literal[{listed}]" if parameter.choices else annotation)
        assert parameter.choices or not literal.startswith("Literal")


_GIVEN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

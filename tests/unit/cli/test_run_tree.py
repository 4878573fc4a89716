"""A run's nested runs as an indented list. P8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.cli.run_tree import RunTree, read_tree, tree_lines
from sidestep.model.ports import Page
from tests.unit.cli.test_run_ids import record

if TYPE_CHECKING:
    from sidestep.model.ports import RunFilter
    from sidestep.model.run import RunRecord

BEGAN_MS = 1_700_000_000_000


class Lists:
    """A store as far as lists go: nested runs by their parent, newest first; counts what it handed out."""

    def __init__(self, children: dict[str, list[str]]) -> None:
        self.handed_out = 0
        self._children = children

    async def list_runs(self, run_filter: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        parent = run_filter.parent_run_id
        assert parent is not None
        newest = list(reversed(self._children.get(parent, [])))
        begin = int(cursor or 0)
        ids = newest[begin : begin + limit]
        self.handed_out += len(ids)
        end = begin + len(ids)
        runs = [
            record(run_id, "/w", BEGAN_MS, root_run_id="run_root", parent_run_id=parent, owner=None) for run_id in ids
        ]
        return Page(runs, str(end) if end < len(newest) else None)


async def read(children: dict[str, list[str]], limit: int = 100) -> tuple[RunTree, Lists]:
    lists = Lists(children)
    return await read_tree(lists, "run_root", limit), lists  # type: ignore[arg-type]


async def test_every_level_stands_below_its_parent_in_the_order_it_was_made() -> None:
    tree, _ = await read({"run_root": ["run_a", "run_b"], "run_a": ["run_a1", "run_a2"], "run_a2": ["run_a2x"]})
    assert [(level, each.run_id) for level, each in tree.below()] == [
        (0, "run_a"),
        (1, "run_a1"),
        (1, "run_a2"),
        (2, "run_a2x"),
        (0, "run_b"),
    ]
    assert not tree.is_cut
    lines = tree_lines(tree)
    assert lines[1] == "Nested runs (5):"
    assert [len(line) - len(line.lstrip()) for line in lines[2:]] == [2, 4, 4, 6, 2]


async def test_without_nested_runs_nothing_is_said() -> None:
    tree, _ = await read({})
    assert tree_lines(tree) == []


async def test_of_very_many_the_newest_are_read_and_it_is_said_that_there_are_more() -> None:
    tree, lists = await read({"run_root": [f"run_{number:05}" for number in range(10_000)]})
    assert [each.run_id for _, each in tree.below()] == [f"run_{number:05}" for number in range(9_900, 10_000)]
    assert lists.handed_out <= 101
    assert tree_lines(tree)[1] == "Nested runs (100 and more):"


async def test_upper_levels_are_read_before_lower_ones() -> None:
    children = {"run_root": ["run_a", "run_b"], "run_a": ["run_a1", "run_a2"], "run_b": ["run_b1"]}
    exact, _ = await read(children, limit=5)
    assert not exact.is_cut
    cut, _ = await read(children, limit=4)
    assert cut.is_cut
    assert [each.run_id for _, each in cut.below()] == ["run_a", "run_a1", "run_a2", "run_b"]
    least, _ = await read(children, limit=1)
    assert [each.run_id for _, each in least.below()] == ["run_b"]

"""A run's nested runs, all levels of them, as an indented list. Bounded: a root may have ten thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.cli.run_ids import newest
from sidestep.cli.terminal_text import duration, one_line, table
from sidestep.model.ports import RunFilter

if TYPE_CHECKING:
    from sidestep.model.ports import RunStore
    from sidestep.model.run import RunRecord

# Nested runs read and shown of one run; upper levels before lower ones, of one parent the newest.
NESTED_MAX = 100


@dataclass(frozen=True)
class RunTree:
    """
    What was read below a run.

    Attributes:
        children: By their parent's id, in the order in which they were made.
        is_cut: There are more.
    """

    run_id: str
    children: dict[str, list[RunRecord]]
    is_cut: bool

    def below(self) -> list[tuple[int, RunRecord]]:
        """Every nested run after its parent, with its level: 0 for the run's own children."""
        found: list[tuple[int, RunRecord]] = []
        left = [(0, child) for child in reversed(self.children.get(self.run_id, []))]
        while left:
            level, record = left.pop()
            found.append((level, record))
            left += [(level + 1, child) for child in reversed(self.children.get(record.run_id, []))]
        return found


async def read_tree(store: RunStore, run_id: str, limit: int = NESTED_MAX) -> RunTree:
    """The runs below a run, level by level, at most `limit`."""
    children: dict[str, list[RunRecord]] = {}
    parents = [run_id]
    count = 0
    for parent in parents:
        # One more than there is room for, to know of it.
        found = [each async for each in newest(store, RunFilter(parent_run_id=parent), limit - count + 1)]
        is_cut = count + len(found) > limit
        kept = list(reversed(found[: limit - count]))
        count += len(kept)
        children[parent] = kept
        parents += [child.run_id for child in kept]
        if is_cut:
            return RunTree(run_id, children, is_cut=True)
    return RunTree(run_id, children, is_cut=False)


def tree_lines(tree: RunTree) -> list[str]:
    """The nested runs for people; nothing when there are none."""
    below = tree.below()
    if not below:
        return []
    count = f"{len(below)} and more" if tree.is_cut else f"{len(below)}"
    rows = [_row(level, record) for level, record in below]
    lines = ["", f"Nested runs ({count}):", *("  " + line for line in table(rows))]
    if tree.is_cut:
        lines.append("  `sidestep runs show` with the id of one of them shows all that is below it.")
    return lines


def _row(level: int, record: RunRecord) -> list[str]:
    label = f" [{one_line(record.label, 40)}]" if record.label else ""
    status = record.status.value + (f" ({record.reason})" if record.reason else "")
    took = "" if record.ended_at_ms is None else duration(record.ended_at_ms - record.created_at_ms)
    return ["  " * level + record.run_id, status, took, record.name + label, f"{record.steps.completed} done"]

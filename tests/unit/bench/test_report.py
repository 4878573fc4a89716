"""The report and the chart: what they make of samples, and that the files are what the raw results give."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import pytest

from tests.bench import __main__ as command
from tests.bench.long_run import LongRun
from tests.bench.report_words import HEADINGS
from tests.bench.results import RESULTS, Results, read_results, write_results
from tests.bench.row import row
from tests.bench.targets import REASONS, targets, unexplained
from tests.bench.views import views
from tests.bench.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = {"cores": 2, "memoryGiB": 4, "system": "Linux 6.1", "python": "3.11.7", "sqlite": "3.40.1"}


def results(*workloads: Workload, rows: list[dict[str, Any]] | None = None) -> Results:
    return Results(MACHINE, {"sidestep": "0.1.0"}, list(workloads), rows or [])


def sequential(size: int, *, ours: float, peer: float) -> Workload:
    """Times of a step in floors of 2 s and 4 s."""
    samples = {"floor": [2.0, 4.0], "sidestep": [2.0 * ours, 4.0 * ours], "langgraph": [2.0 * peer, 4.0 * peer]}
    return Workload("sequential", size, "s", samples)


def met(made: Results) -> dict[str, bool | None]:
    return {each.what: each.is_met for each in targets(made)}


def test_the_committed_report_and_chart_are_what_the_raw_results_give() -> None:
    """They are written by the command alone: `python -m tests.bench --render` writes them again."""
    for name, text in views(read_results()).items():
        assert RESULTS.with_name(name).read_text(encoding="utf-8") == text, name


def test_the_raw_results_name_no_machine_and_no_place() -> None:
    text = RESULTS.read_text(encoding="utf-8")
    assert [word for word in ("/home", "/root", "/tmp", "/work", "://") if word in text] == []
    assert read_results().machine.keys() == MACHINE.keys()


def test_raw_results_are_the_same_after_writing_and_reading(tmp_path: Any) -> None:
    made = results(sequential(10, ours=2.5, peer=5.0), rows=[row("x", [1.0, 2.0], floor="y", aim=3.0)])
    write_results(made, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == made


def test_a_table_has_ratios_to_the_floor_of_the_same_round_and_says_who_is_best() -> None:
    text = views(results(sequential(10, ours=2.5, peer=5.0)))["RESULTS.md"]
    assert "| Sidestep | 2.50 (2.50-2.50; 2) |" in text
    assert "| LangGraph | 5.00 (5.00-5.00; 2) |" in text
    assert "| **best** | Sidestep |" in text
    assert "| LangGraph / Sidestep | 2.00 x |" in text


def test_an_engine_that_was_stopped_is_told_and_is_not_best() -> None:
    workload = sequential(10_000, ours=2.5, peer=0.5)
    workload.stopped["langgraph"] = "was stopped after 60 s"
    text = views(results(workload))["RESULTS.md"]
    assert "- LangGraph, N = 10,000: was stopped after 60 s." in text
    assert "| **best** | - |" in text


def test_without_a_floor_the_service_is_one() -> None:
    workload = Workload("kill", 300, "s", {"sidestep": [2.0], "dbos": [6.0], "restate": [1.0]})
    text = views(results(workload))["RESULTS.md"]
    assert "| DBOS Transact | 3.00 |" in text
    assert "| **best** | Restate |" in text


@pytest.mark.parametrize(("ours", "expected"), [(2.4, True), (2.6, False)])
def test_the_aim_of_a_step_is_two_and_a_half_commits(ours: float, expected: bool) -> None:
    made = results(sequential(10, ours=9.0, peer=20.0), sequential(100, ours=ours, peer=20.0))
    assert met(made)["sequential step, N >= 100"] is expected


def test_an_aim_without_samples_is_not_measured() -> None:
    assert set(met(results()).values()) == {None}
    text = views(results(sequential(1, ours=9.0, peer=30.0)))["RESULTS.md"]
    assert "| step of a fan-out of 500, best peer to ours | >= 2 times | not measured |  |" in text


def test_one_size_at_which_a_peer_is_ahead_misses_the_aim() -> None:
    what = "sequential step at every N, best peer to ours"
    assert met(results(sequential(1, ours=2.0, peer=3.0), sequential(10, ours=2.0, peer=3.0)))[what] is True
    assert met(results(sequential(1, ours=2.0, peer=1.9), sequential(10, ours=2.0, peer=3.0)))[what] is False


def test_the_kill_is_judged_by_the_slower_of_our_two() -> None:
    samples = {"sidestep": [1.0], "sidestep-stdio": [2.5], "dbos": [2.0]}
    assert (
        met(results(Workload("kill", 300, "s", samples)))["kill -9 to the first new step, best peer to ours"] is False
    )


def test_the_lead_in_a_table_is_the_one_that_the_aims_are_judged_by() -> None:
    """Round by round: the median of ratios, which is not the ratio of medians."""
    samples = {"floor": [1.0, 1.0, 4.0], "sidestep": [2.0, 4.0, 16.0], "langgraph": [4.0, 12.0, 16.0]}
    made = results(Workload("fanOut", 500, "s", samples))
    assert "| LangGraph / Sidestep | 2.00 x |" in views(made)["RESULTS.md"]
    assert {each.what: each.value for each in targets(made)}["step of a fan-out of 500, best peer to ours"] == 2.0


def test_a_missed_aim_without_a_reason_is_named_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explained, unexplained_one = "missed and explained, against b", "missed, against b"
    rows = [
        row("missed and explained", [3.0], floor="b", aim=2.0),
        row("missed", [3.0], floor="b", aim=2.0),
        row("met", [1.0], floor="b", aim=2.0),
        row("slow", [1.0], floor="as fast as b", at_least=2.0),
    ]
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    monkeypatch.setitem(REASONS, explained, "The reason.")
    write_results(results(rows=rows), tmp_path / "results.json")
    assert command.main(["--render"]) == 0
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Missed")]
    assert [line.rpartition(": ")[2] for line in named] == [unexplained_one, "slow, as fast as b"]


def test_the_reason_of_a_missed_aim_stands_below_the_table_and_that_of_a_met_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(REASONS, "a step on disk", "Rows are long.")
    for stored, is_told in ((600.0, True), (400.0, False)):
        made = results(Workload("storage", 1_000, "bytes", {"sidestep": [stored]}))
        assert ("- a step on disk: Rows are long." in views(made)["RESULTS.md"]) is is_told
        assert unexplained(made) == []


def test_a_reason_is_for_an_aim_that_there_is() -> None:
    aims = [each.what for each in targets(read_results())]
    assert len(aims) == len(set(aims))
    assert REASONS.keys() <= set(aims)


@pytest.mark.parametrize(
    "aim",
    [
        *("fan-out of 500", "100 runs of 20 steps", "start to the first step", "cancel until the work has stopped"),
        *("kill -9", "listing", "a step on disk", "a waiting run in memory", "N = 10,000, to one at N = 100"),
        *("sequential step, N >= 100", "sequential step at every N", "after the long run", "memory of the long run"),
        *("idle memory", "spawn to initialize reply, against hello in pygls"),
    ],
)
def test_every_aim_of_the_comparison_is_in_the_committed_table(aim: str) -> None:
    table = RESULTS.with_name("RESULTS.md").read_text(encoding="utf-8").partition("## Aims")[2].partition("\n## ")[0]
    assert [line for line in table.splitlines() if line.startswith("| ") and aim in line]


def test_every_table_of_the_comparison_says_what_is_one_or_counted_and_who_is_best() -> None:
    text = RESULTS.with_name("RESULTS.md").read_text(encoding="utf-8")
    for heading in HEADINGS.values():
        _, found, section = text.partition(f"## {heading.title}\n")
        section = section.partition("\n## ")[0]
        assert found, heading
        assert re.search(r"^\| (one commit = 1|Sidestep = 1|bytes|calls) \|", section, re.MULTILINE), heading
        assert "| **best** |" in section, heading


def test_a_figure_beside_a_peer_says_who_is_ahead_and_one_beside_a_floor_nobody() -> None:
    rows = [
        row("cost", [0.5], floor="hello in pygls"),
        row("speed", [0.5], floor="as fast as hello in node"),
        row("part", [0.5], floor="a pipe echo"),
    ]
    text = views(results(rows=rows))["RESULTS.md"]
    assert "| cost | 0.50 (0.50-0.50) | hello in pygls | 1 | Sidestep |" in text
    assert "| speed | 0.50 (0.50-0.50) | as fast as hello in node | 1 | node |" in text
    assert "| part | 0.50 (0.50-0.50) | a pipe echo | 1 |  |" in text


def test_a_figure_that_just_misses_its_aim_does_not_look_like_it() -> None:
    made = results(
        sequential(10, ours=2.0, peer=3.0), rows=[row("idle memory", [0.702], floor="hello in pygls", aim=0.7)]
    )
    line = "| idle memory, against hello in pygls | <= 0.7 times | 0.702 times | **missed** |"
    assert line in views(made)["RESULTS.md"]


def long_run(*, last_cost: float, last_bytes: float, old: float) -> LongRun:
    """Twenty rounds, whose last two are as told; the old process takes `old` times as long as the young one."""
    cost = {"floor": [2.0] * 20, "sidestep": [8.0] * 18 + [2.0 * last_cost] * 2}
    memory = {"sidestep": [40.0 * 2**20] * 18 + [last_bytes] * 2}
    pairs = {"sidestep": [(old, 1.0), (2 * old, 2.0), (3 * old, 3.0)]}
    return LongRun(
        MACHINE,
        {"sidestep": "0.1.0"},
        601,
        Workload("longSteps", 1_000, "s", cost),
        Workload("longMemory", 1_000, "bytes", memory),
        pairs,
    )


def test_the_long_run_shows_its_first_and_last_tenth_and_the_old_process_beside_a_young_one() -> None:
    made = results()
    made.long_run = long_run(last_cost=5.0, last_bytes=44.0 * 2**20, old=1.25)
    text = views(made)["RESULTS.md"]
    assert "20,000 steps each way, in runs of 1,000 that take turns, in one process each: 10 minutes." in text
    assert "| Sidestep: a step | 4.00 | 5.00 | 1.25 x | 1.25 (1.25-1.25; 3) |" in text
    assert "| Sidestep: memory | 40.0 MiB | 44.0 MiB | 1.10 x |  |" in text


@pytest.mark.parametrize(("old", "mebibytes", "expected"), [(1.05, 41.0, (True, True)), (1.2, 48.0, (False, False))])
def test_the_long_run_aims_at_steps_and_memory_that_do_not_grow(
    old: float, mebibytes: float, expected: tuple[bool, bool]
) -> None:
    made = results(sequential(10, ours=2.0, peer=3.0))
    made.long_run = long_run(last_cost=4.0, last_bytes=mebibytes * 2**20, old=old)
    found = met(made)
    step, memory = "step after the long run, to one in a young process beside it", "memory of the long run, last tenth"
    assert (found[step], found[f"{memory} to first"]) == expected


def test_listing_is_many_to_few() -> None:
    few, many = (
        Workload("listing", 100, "s", {"sidestep": [1.0]}),
        Workload("listing", 100_000, "s", {"sidestep": [3.0]}),
    )
    assert met(results(few, many))["listing of 100,000 stored runs, to one of 100"] is False


def test_the_chart_is_one_picture_with_a_named_line_for_each_engine() -> None:
    made = results(sequential(1, ours=9.0, peer=30.0), sequential(10_000, ours=2.5, peer=5.0))
    chart = views(made)["cost.svg"]
    root = ElementTree.fromstring(chart)
    space = {"svg": "http://www.w3.org/2000/svg"}
    names = [text.text for text in root.findall("svg:text", space) if "name" in text.get("class", "")]
    assert sorted(filter(None, names)) == ["LangGraph 5.0", "Sidestep 2.5"]
    assert len(root.findall("svg:polyline", space)) == 2
    assert "prefers-color-scheme:dark" in chart
    width, height = (float(word) for word in root.get("viewBox", "").split()[2:])
    for text in root.findall("svg:text", space):
        assert 0 <= float(text.get("x", "-1")) <= width
        assert 0 <= float(text.get("y", "-1")) <= height


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1. Source: WCAG 2.1."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("is_dark", [False, True])
def test_every_word_of_the_chart_can_be_read_on_light_and_on_dark_paper(is_dark: bool) -> None:
    """A contrast of 4.5 at least, as WCAG asks of small text."""
    style = RESULTS.with_name("cost.svg").read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    light, _, dark = style.partition("@media(prefers-color-scheme:dark)")
    rules = dict(re.findall(r"\.([a-z.,-]+)\{fill:(#[0-9a-f]{6})\}", dark if is_dark else light))
    paper = luminance(rules.pop("paper"))
    assert len(rules) >= 7
    for name, colour in rules.items():
        lighter, darker = sorted((paper, luminance(colour)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    samples = {
        "floor": [1.0],
        **{name: [5.0] for name in ("sidestep", "sidestep-stdio", "dbos", "langgraph", "restate")},
    }
    root = ElementTree.fromstring(views(results(Workload("sequential", 10, "s", samples)))["cost.svg"])
    places = sorted(float(each.get("y", "0")) for each in root if "name" in each.get("class", ""))
    assert len(places) == 5
    assert all(after - before >= 15 for before, after in itertools.pairwise(places))

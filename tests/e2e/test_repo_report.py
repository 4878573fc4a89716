"""
The built-in workflow `repo-report`: every number in its data against this file's own git calls and own arithmetic.

The script runs in the real sandbox with real commands. Its own ways (piecewise history read newest first, sums made by
git, blobs found by size) are not used here: history is followed oldest first, one commit at a time, and files are read.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import subprocess
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import sidestep
from sidestep.model.run import FailureCode
from sidestep.settings import Settings
from tests.support.command_line import CommandLine
from tests.support.git_repository import GitRepository
from tests.support.run_script import ScriptRun, run_script

SCRIPT = Path(sidestep.__file__).parent / "builtin" / "repo-report.py"

CODE = {".py", ".js", ".sh", ".C"}
TEST_FOLDERS = {"test", "tests", "testing", "__tests__", "spec", "specs"}
TEST_NAMES = ["test_*", "tests_*", "*_test.*", "*_tests.*", "*.test.*", "*.spec.*", "*_spec.*", "conftest.py"]
NOTE = re.compile(rb"(?<![A-Za-z0-9_])(TODO|FIXME)(?![A-Za-z0-9_])")


def report_on(folder: Path, environ: dict[str, str], **arguments: Any) -> ScriptRun:
    settings = arguments.pop("settings", None)
    run = run_script(SCRIPT, folder, environ=environ, settings=settings, **arguments)
    assert len(run.steps) == len(set(run.steps)), "a step id is asked once"
    return run


def lively_repository(folder: Path) -> GitRepository:
    """Three people, renames in chains and circles, merges, odd names, notes of known days, a submodule."""
    repository = GitRepository(folder)
    todo, fixme = "TO" + "DO", "FIX" + "ME"
    body = "".join(f"line {n}\n" for n in range(30))
    repository.commit("Ada", {"README.md": "hello\n", "src/app/main.py": body, "src/app/util.py": "a\nb\n"})
    repository.commit(
        "Ada", {"src/app/main.py": f"{body}# {todo}(ada): tidy up | soon `now` é\n", "tests/test_main.py": "t\n"}
    )
    repository.commit(
        "Bob", {"src/app/util.py": "a\nB\n", "src/app/main.py": body + f"# {todo}(ada): tidy up | soon `now` é\n1\n"}
    )
    repository.commit("Bob", {".mailmap": "Bob Real <bob@example.org> <bob@example.org>\n", "a b/ü ñ.txt": "x\n"})
    repository.commit(
        "Cleo",
        {"src/app/util.py": "a\nB\nc\n", "src/app/main.py": body + "2\n" + f"# {todo}(ada): tidy up | soon `now` é\n"},
    )
    repository.commit("Cleo", moves={"src/app/main.py": "src/app/core.py"})
    repository.commit(
        "Cleo", {"src/app/core.py": body + f"2\n# {todo}(ada): tidy up | soon `now` é\n3\n", "src/app/util.py": "a\n"}
    )
    repository.commit("Ada", {"src/app/main.py": "new\n"}, moves={"src/app/core.py": "lib/kernel.py"})
    repository.commit(
        "Ada", {"lib/kernel.py": body + f"2\n# {todo}(ada): tidy up | soon `now` é\n4\n# {fixme} {'x' * 300}\n"}
    )
    repository.commit(
        "Bob",
        {
            "one.sh": "1\n" * 20,
            "two.sh": "2\n" * 20,
            "odd/new\nline|`tick`.js": f"{todo}\nnot{todo} {todo}S\n{fixme}: a {todo}: b\n",
        },
    )
    repository.commit("Bob", moves={"one.sh": "swap", "two.sh": "one.sh"})
    repository.commit("Bob", moves={"swap": "two.sh"})
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("Cleo", {"side.py": f"pass  # {todo} side\n", "src/app/util.py": "a\nz\n"})
    repository.git("checkout", "-q", "main")
    repository.commit(
        "Ada", {"data.bin": b"\x00\x01" + todo.encode() + b"\n" * 5000, "gone.py": "g\n", "web/latest.js": "l\n" * 9}
    )
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "side", author="Ada")
    repository.days += 1
    repository.commit(
        "Ada", {"gone.py": None, "web/x.test.js": "t\n" * 5, "Spec/deep/er/y.C": "s\n" * 7, "web/XTest.js": "t\n"}
    )
    repository.commit("Ada", {"gone.py": "back\n", "empty": ""})
    repository.commit("Ada", {"gone.py": None})
    repository.commit("Bob", {f"many/module-{n:02}.py": f"{n}\n" * n for n in range(1, 26)})
    repository.commit("Bob", {f"many/module-{n:02}.py": f"{n}\n" * (n + 1) for n in (1, 2, 3)})
    repository.commit("Bob", {f"many/module-{n:02}.py": f"{n}\n" * (n + 2) for n in (1, 2, 3)})
    (folder / "vendor" / "sub.py").mkdir(parents=True)
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/sub.py")
    repository.commit("Cleo", {":(top)[ab]*.py": f"{todo}\n", "a.py": f"{todo}\n"})
    os.symlink("README.md", folder / "link.py")
    repository.commit("Cleo", {"README.md": "hello\nworld"})
    return repository


# ---------------------------------------------------------------- the same numbers, another way


class Expected:
    """What `repo-report` should say of a repository's folder."""

    def __init__(self, repository: GitRepository, commits: int = 500, top: int = 10) -> None:
        self.repository, self.top = repository, top
        self.git = repository.git
        self.head = self.git("rev-parse", "HEAD")
        self.listed = self.git("log", "--format=%H", f"-{commits}").split()
        self.files = self._files()
        self._follow_history()

    def data(self) -> dict[str, Any]:
        shallow = self.git("rev-parse", "--is-shallow-repository") == "true"
        edges = [c for c in self.listed if shallow and not self.git("log", "-1", "--format=%P", c)]
        return {
            "repository": {
                "name": self.repository.folder.name,
                "folder": "",
                "shallow": shallow,
                "commit": self.head,
                "tree": self.git("rev-parse", "HEAD^{tree}"),
                "empty_tree": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            },
            "history": {
                "total": len(self.git("log", "--format=%h").split()),
                "read": len(self.listed),
                "first": min(self._day(commit) for commit in self.listed),
                "last": max(self._day(commit) for commit in self.listed),
                "people": len({self._author(commit) for commit in self.listed}),
                "edges": edges,
                "too_large": [],
            },
            "hot_spots": self._hot_spots(),
            "knowledge": self._knowledge(),
            "together": self._together(),
            "notes": self._notes(set(edges)),
            "largest": self._largest(),
            "code": self._code(),
        }

    def _files(self) -> dict[str, bytes]:
        """Contents of the newest commit's files, submodules left out."""
        entries = [entry.split("\t", 1) for entry in self.git("ls-tree", "-r", "-z", "HEAD").split("\0") if entry]
        blobs = {path: facts.split()[2] for facts, path in entries if facts.split()[1] == "blob"}
        return {path: self._blob(name) for path, name in blobs.items()}

    def _blob(self, name: str) -> bytes:
        # Not through `git`, which gives text.
        return subprocess.run(
            ["git", "cat-file", "blob", name], cwd=self.repository.folder, capture_output=True, check=True
        ).stdout

    def _author(self, commit: str) -> str:
        return self.git("log", "-1", "--format=%aN", commit)

    def _day(self, commit: str) -> str:
        return self.git("log", "-1", "--format=%ad", "--date=format:%Y-%m-%d", commit)

    def _follow_history(self) -> None:
        """Oldest commit first; a file keeps its number through renames, and its name is whatever it has at the end."""
        shallow = self.git("rev-parse", "--is-shallow-repository") == "true"
        numbers: dict[str, int] = {}
        names: dict[int, str] = {}
        fresh = itertools.count()
        self.touched: list[tuple[str, dict[int, tuple[int, int]]]] = []
        for commit in reversed(self.listed):
            parents = self.git("log", "-1", "--format=%P", commit).split()
            if len(parents) > 1 or (shallow and not parents):
                continue
            status = self.git("show", "--format=", "--name-status", "-z", "-M", commit).split("\0")
            numstat = self.git("show", "--format=", "--numstat", "-z", "--no-renames", commit)
            moves = {status[at + 2]: status[at + 1] for at, word in enumerate(status) if re.fullmatch(r"R\d+", word)}
            changed = dict(self._numbers(commit, moves, numstat))
            before = dict(numbers)
            for path in changed:
                numbers[path] = before[moves[path]] if moves.get(path) in before else numbers.get(path, -1)
                if numbers[path] < 0:
                    numbers[path] = next(fresh)
            for old in set(moves.values()) - set(changed):
                numbers.pop(old, None)
            for path in changed:
                names[numbers[path]] = path
            self.touched.append((self._author(commit), {numbers[path]: lines for path, lines in changed.items()}))
        # A name may have had another file before; that one is gone.
        self.living = {number: path for path, number in numbers.items() if path in self.files}
        self.names = names

    def _numbers(self, commit: str, moves: dict[str, str], numstat: str):
        """(path, (added, deleted)) of a commit; a moved file is compared with what it was."""
        for record in filter(None, numstat.split("\0")):
            added, deleted, path = (
                record.strip("\n").split("\t", 2) if not record.startswith("\n") else record[1:].split("\t", 2)
            )
            if path in moves:
                pair = self.git("diff", "--numstat", f"{commit}^:{moves[path]}", f"{commit}:{path}").split("\t")
                added, deleted = (pair[0], pair[1]) if len(pair) > 1 else ("0", "0")
            elif path in moves.values() and not self._exists(commit, path):
                continue
            if not self._is_submodule(commit, path):
                yield path, (int(added) if added != "-" else 0, int(deleted) if deleted != "-" else 0)

    def _exists(self, commit: str, path: str) -> bool:
        return bool(self.git("ls-tree", "-z", commit, "--", path))

    def _is_submodule(self, commit: str, path: str) -> bool:
        return self.git("ls-tree", "-z", commit, "--", path).startswith("160000")

    def _hot_spots(self) -> list[dict[str, Any]]:
        rows = []
        for number, path in self.living.items():
            mine = [(author, files[number]) for author, files in self.touched if number in files]
            row = {
                "path": path,
                "commits": len(mine),
                "added": sum(lines[0] for _, lines in mine),
                "deleted": sum(lines[1] for _, lines in mine),
                "authors": len({author for author, _ in mine}),
            }
            rows.append(row)
        return sorted(rows, key=lambda r: (-r["commits"], -(r["added"] + r["deleted"]), r["path"]))[: self.top]

    def _knowledge(self) -> list[dict[str, Any]]:
        folders: dict[str, Counter[str]] = defaultdict(Counter)
        for author, files in self.touched:
            for folder in {self._folder(self.names[number]) for number in files}:
                folders[folder][author] += 1
        existing = {"."} | {str(parent) for path in self.files for parent in Path(path).parents}
        rows = [
            {
                "path": folder,
                "commits": authors.total(),
                "people": len(authors),
                "authors": [
                    {"name": name, "commits": n}
                    for name, n in sorted(authors.items(), key=lambda item: (-item[1], item[0]))
                ][:3],
            }
            for folder, authors in folders.items()
            if folder in existing
        ]
        return sorted(rows, key=lambda row: (-row["commits"], row["path"]))[: self.top]

    def _folder(self, path: str) -> str:
        return "/".join(Path(path).parts[:-1][:2]) or "."

    def _together(self) -> list[dict[str, Any]]:
        rows = []
        for one, other in itertools.combinations(sorted(self.living, key=lambda number: self.living[number]), 2):
            both = [files for _, files in self.touched if one in files and other in files]
            either = [files for _, files in self.touched if one in files or other in files]
            together = len([files for files in both if len(files) <= 20])
            paths = [self.living[one], self.living[other]]
            if together > 1:
                of = len(either) + len(both) - together
                rows.append({"paths": paths, "together": together, "either": of, "share": round(together / of, 3)})
        return sorted(rows, key=lambda row: (-row["together"], -row["share"], row["paths"]))[: self.top]

    def _notes(self, edges: set[str]) -> dict[str, Any]:
        total, files, rows = 0, 0, []
        newest = int(self.git("log", "-1", "--format=%at"))
        for path, content in self.files.items():
            lines = [(n, line) for n, line in enumerate(content.split(b"\n"), 1) if NOTE.search(line)]
            if b"\0" in content or not lines:
                continue
            files, total = files + 1, total + len(lines)
            for number, line in lines:
                blame = self.git("blame", "--line-porcelain", "-L", f"{number},{number}", "HEAD", "--", path)
                at = int(re.search(r"^author-time (\d+)$", blame, re.MULTILINE)[1])
                found = NOTE.search(line)
                # The expression takes the word, the character after it, and 120 more; the report shows 80.
                text = line[found.start() : found.end() + 121].decode("utf-8", "ignore").strip()[:80]
                row = {
                    "path": path,
                    "line": number,
                    "text": text,
                    "author": re.search(r"^author (.*)$", blame, re.MULTILINE)[1],
                    "commit": blame[:40],
                    "age_days": (newest - at) // 86400,
                    "or_older": blame[:40] in edges,
                    "date": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d"),
                }
                rows.append((at, path, number, row))
        oldest = [row for _, _, _, row in sorted(rows, key=lambda r: r[:3])][: self.top]
        return {"total": total, "files": files, "complete": True, "dated": len(rows), "oldest": oldest}

    def _largest(self) -> list[dict[str, Any]]:
        rows = [{"path": path, "bytes": len(content)} for path, content in self.files.items() if content]
        return sorted(rows, key=lambda row: (-row["bytes"], row["path"]))[: self.top]

    def _code(self) -> dict[str, Any]:
        code = {path: content for path, content in self.files.items() if Path(path).suffix in CODE}
        tests = {path: content for path, content in code.items() if self._is_test(path)}
        production = {path: content for path, content in code.items() if path not in tests}
        lines, test_lines = (sum(self._lines(c) for c in group.values()) for group in (production, tests))
        return {
            "files": len(self.files),
            "code_files": len(production),
            "code_lines": lines,
            "test_files": len(tests),
            "test_lines": test_lines,
            "tests_to_code": round(test_lines / lines, 3) if lines else None,
        }

    def _is_test(self, path: str) -> bool:
        name = Path(path).name
        return (
            bool({part.lower() for part in Path(path).parts[:-1]} & TEST_FOLDERS)
            or any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in TEST_NAMES)
            or any(fnmatch.fnmatchcase(name, pattern) for pattern in ("*Test.*", "*Tests.*", "*Spec.*"))
        )

    def _lines(self, content: bytes) -> int:
        return 0 if b"\0" in content else content.count(b"\n") + (not content.endswith(b"\n") and content != b"")


# ---------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    return lively_repository(tmp_path_factory.mktemp("made") / "lively")


def check_every_number(run: ScriptRun, expected: dict[str, Any]) -> None:
    assert run.failure is None, run.failure
    data = run.value["data"]
    assert data.keys() == expected.keys()
    for name in expected:
        assert data[name] == expected[name], name


@pytest.mark.slow
@pytest.mark.parametrize(("commits", "top"), [(500, 10), (500, 50), (9, 4), (1, 1)])
def test_every_number_is_what_git_says(lively: GitRepository, commits: int, top: int) -> None:
    run = report_on(lively.folder, lively.environ, commits=commits, top=top)
    check_every_number(run, Expected(lively, commits, top).data())


@pytest.mark.slow
def test_the_real_service_says_the_same(lively: GitRepository, tmp_path: Path) -> None:
    """The same script through the command line, the journal and the real store."""
    said = CommandLine(tmp_path)("run", "repo-report", "--trust", "--json", "top=50", cwd=lively.folder)
    assert said.exit == 0, said.err
    outcome = said.lines[-1]
    run = report_on(lively.folder, lively.environ, top=50)
    assert outcome["result"]["data"] == run.value["data"]
    assert outcome["result"]["report"] == run.value["report"]
    assert outcome["steps"] == {"completed": len(run.steps), "reused": 0, "failed": 0, "running": 0}


@pytest.mark.slow
def test_the_expectations_themselves_know_the_days_of_the_notes(lively: GitRepository) -> None:
    """A note keeps the day on which it was written, through three renames and a changed neighbourhood."""
    run = report_on(lively.folder, lively.environ, top=50)
    rows = {(row["text"][:12], row["path"]): row for row in run.value["data"]["notes"]["oldest"]}
    oldest = rows["TODO(ada): t", "lib/kernel.py"]
    assert (oldest["date"], oldest["author"]) == ("2023-11-16", "Ada")
    assert rows["TODO side", "side.py"]["date"] == "2023-11-27"
    assert rows["TODO side", "side.py"]["author"] == "Cleo"
    hot = {row["path"]: row for row in run.value["data"]["hot_spots"]}
    assert (hot["lib/kernel.py"]["commits"], hot["lib/kernel.py"]["authors"]) == (8, 3)
    assert hot["src/app/main.py"]["commits"] == 1, "a new file under an old name is another file"
    assert "gone.py" not in hot


@pytest.mark.slow
def test_the_report_is_what_a_person_reads(lively: GitRepository) -> None:
    run = report_on(lively.folder, lively.environ, commits=9)
    report = run.value["report"]
    total = len(lively.git("log", "--format=%h").split())
    assert report.startswith("# Repository report: lively\n\n- History: **last 9 of ")
    assert f"**last 9 of {total} commits**" in report
    headings = [line[3:] for line in report.splitlines() if line.startswith("## ")]
    assert headings == [
        "Hot spots",
        "Who knows what",
        "Changed together",
        "Oldest notes",
        "Largest files",
        "Tests and code",
    ]
    tables = [block.splitlines() for block in report.split("\n\n") if block.startswith("|")]
    assert len(tables) == 6
    for table in tables:
        # Every row has as many cells as the head, whatever stands in names: bars in them are escaped.
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table}) == 1, table
    assert r"`` odd/new\x0aline\|`tick`.js" in report_on(lively.folder, lively.environ, top=50).value["report"]
    assert run.phases == [
        "look at the repository",
        "read the history",
        "inspect the files",
        "date the oldest notes",
        "write the report",
    ]
    assert len(run.steps) >= 12, "enough of them that a kill in the middle is worth showing"


@pytest.mark.slow
@pytest.mark.parametrize("kept", [960, 2048])
def test_output_that_is_cut_is_asked_for_in_smaller_pieces_and_never_taken_for_the_whole(
    lively: GitRepository, kept: int
) -> None:
    """With streams cut at 1 KiB the numbers are still the same."""
    settings = Settings(command_stream_bytes_max=kept)
    run = report_on(lively.folder, lively.environ, settings=settings, top=10)
    expected = Expected(lively).data()
    assert run.failure is None, run.failure
    if kept == 960:
        assert len([step for step in run.steps if step.startswith("read commits")]) > 4, "history was halved"
        assert any(step.startswith("name the files of blob") for step in run.steps), "paths were asked for one by one"
    check_every_number(run, expected)


def test_a_commit_too_large_to_list_is_left_out_and_named(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    repository.commit("Ada", {"a.py": "1\n"})
    large = repository.commit("Bob", {f"folder/file-{n}.py": "x\n" for n in range(100)})
    repository.commit("Ada", {"a.py": "1\n2\n"})
    run = report_on(repository.folder, repository.environ, settings=Settings(command_stream_bytes_max=1024))
    assert run.failure is None, run.failure
    data = run.value["data"]
    assert data["history"]["too_large"] == [large]
    assert [(row["path"], row["commits"]) for row in data["hot_spots"]] == [("a.py", 2)]
    assert data["history"]["people"] == 2
    assert data["code"]["files"] == 101
    assert (
        f"**Partial**: 1 commit with too many files to list, whose changes are counted nowhere: `{large[:12]}`"
        in (run.value["report"])
    )


def test_a_list_cut_exactly_between_two_records_is_still_known_to_be_cut(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    long = "long-" * 36
    repository.commit("Ada", {f"{long}{n}.py": "# TO" + "DO x\n" for n in range(10)})
    record = len(f"{'0' * 40}:{long}0.py\x001\n")
    settings = Settings(command_stream_bytes_max=9 * record)
    run = report_on(repository.folder, repository.environ, settings=settings)
    assert run.failure is None, run.failure
    notes = run.value["data"]["notes"]
    # Nobody can tell that the first of the nine kept is whole, so it is not counted.
    assert (notes["total"], notes["complete"]) == (8, False)
    assert "At least 8 lines with TODO or FIXME" in run.value["report"]


def test_no_commits_yet(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "fresh")
    run = report_on(repository.folder, repository.environ)
    assert "no commits yet" in run.value["report"]
    assert run.value["data"] == {
        "repository": {"name": "fresh", "folder": "", "shallow": False, "commit": None},
    }


def test_one_commit(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "one")
    repository.commit("Ada", {"a.py": "1\n2\n", "b/c/d/e.txt": "x\n"})
    run = report_on(repository.folder, repository.environ)
    check_every_number(run, Expected(repository).data())
    assert "**all 1 commit**, 2023-11-15 to 2023-11-15, by 1 person" in run.value["report"]


def test_an_empty_commit(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "empty")
    repository.commit("Ada")
    run = report_on(repository.folder, repository.environ)
    check_every_number(run, Expected(repository).data())
    assert run.value["report"].count("Nothing to show.") == 4


def test_not_a_repository(tmp_path: Path) -> None:
    run = report_on(tmp_path, {"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    assert run.failure is not None
    assert run.failure.code is FailureCode.SCRIPT
    assert "not in a git repository" in run.failure.message
    assert "git init" in run.failure.message


def test_a_bare_repository(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    repository.git("clone", "-q", "--bare", ".", "../bare.git")
    run = report_on(tmp_path / "bare.git", repository.environ)
    assert run.failure is not None
    assert "open a working tree" in run.failure.message


def test_no_git(tmp_path: Path) -> None:
    run = report_on(tmp_path, {"PATH": str(tmp_path)})
    assert run.failure is not None
    assert run.failure.code is FailureCode.INFRASTRUCTURE
    assert "the program 'git' was not found on PATH; install it" in run.failure.message


@pytest.mark.parametrize("arguments", [{"commits": 0}, {"commits": 4001}, {"top": 0}, {"top": 51}])
def test_arguments_out_of_range_are_refused_before_any_step(tmp_path: Path, arguments: dict[str, int]) -> None:
    run = report_on(tmp_path, {}, **arguments)
    assert run.failure is not None
    assert f"{next(iter(arguments))} must be from 1 to" in run.failure.message
    assert run.steps == []


@pytest.mark.slow
def test_a_shallow_clone_says_so_and_invents_no_history(lively: GitRepository, tmp_path: Path) -> None:
    """The commit at which it was cut looks as if it had made every file: it counts for nothing but itself."""
    lively.git("clone", "-q", "--depth", "4", f"file://{lively.folder}", str(tmp_path / "shallow"))
    clone = GitRepository(tmp_path / "shallow")
    run = report_on(clone.folder, clone.environ)
    expected = Expected(clone).data()
    check_every_number(run, expected)
    assert "**Shallow clone**" in run.value["report"]
    assert [row["or_older"] for row in run.value["data"]["notes"]["oldest"]] == [True] * 5 + [False] * 2
    assert "| before 2023-" in run.value["report"]


def test_a_folder_inside_a_repository_is_reported_on_by_itself(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "whole")
    note = "TO" + "DO"
    repository.commit("Ada", {"inner/deep/a.py": f"1\n# {note} x\n", "outer.py": "1\n" * 100})
    repository.commit("Bob", {"outer.py": "2\n"})
    repository.commit("Cleo", {"inner/deep/a.py": f"1\n2\n# {note} x\n", "inner/test_b.py": "t\n", "outer.py": "3\n"})
    run = report_on(repository.folder / "inner", repository.environ)
    assert run.failure is None, run.failure
    data = run.value["data"]
    assert run.value["report"].startswith("# Repository report: whole/inner\n")
    assert (data["repository"]["name"], data["repository"]["folder"]) == ("whole", "inner")
    assert (data["history"]["total"], data["history"]["read"], data["history"]["people"]) == (2, 2, 2)
    assert [(row["path"], row["commits"], row["added"]) for row in data["hot_spots"]] == [
        ("deep/a.py", 2, 3),
        ("test_b.py", 1, 1),
    ]
    assert data["largest"] == [{"path": "deep/a.py", "bytes": 13}, {"path": "test_b.py", "bytes": 2}]
    assert (data["code"]["files"], data["code"]["code_lines"], data["code"]["test_lines"]) == (2, 3, 1)
    assert [(row["path"], row["line"], row["date"]) for row in data["notes"]["oldest"]] == [
        ("deep/a.py", 3, "2023-11-15")
    ]
    (repository.folder / "new").mkdir()
    refused = report_on(repository.folder / "new", repository.environ).failure
    assert refused is not None
    assert "nothing in the folder 'new/' is committed yet" in refused.message


def test_a_file_whose_name_is_not_utf8_is_counted_and_only_not_dated(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    name = os.fsdecode(b"caf\xe9.py")
    try:
        repository.commit("Ada", {name: "# TO" + "DO x\n"})
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    run = report_on(repository.folder, repository.environ)
    assert run.failure is None, run.failure
    data = run.value["data"]
    assert [row["path"] for row in data["hot_spots"]] == ["caf\ufffd.py"]
    assert (data["notes"]["total"], data["notes"]["dated"]) == (1, 0)
    assert "1 line with TODO or FIXME in 1 file. 0 were dated" in run.value["report"]


def test_a_persons_settings_do_not_change_the_numbers(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    repository.commit("Ada", {"a.py": "1\n" * 20, "b.py": f"# {'TO' + 'DO'} x\n"})
    repository.commit("Ada", moves={"a.py": "ä.py"})
    expected = Expected(repository).data()
    for setting in (
        *("core.quotePath=true", "diff.renames=false", "grep.lineNumber=true", "grep.column=true", "color.ui=always"),
        *("diff.noprefix=true", "log.showSignature=true", "grep.patternType=fixed", "diff.external=false"),
        *("grep.fullName=true", "blame.showRoot=false", "diff.ignoreSubmodules=none", "core.pager=false"),
    ):
        repository.git("config", *setting.split("="))
    check_every_number(report_on(repository.folder, repository.environ), expected)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fifty_thousand_files_in_one_folder(tmp_path: Path) -> None:
    """Nothing is listed whole: 50,000 names are several times what is kept of an output."""
    repository = GitRepository(tmp_path / "large")
    contents = [(f"flat/file-{n:05}.py", b"") for n in range(46_000)]
    # More than can be sized at once between two of the sizes asked for, so the search closes in; the ten largest of
    # all have sizes of their own.
    contents += [
        (f"sized/file-{n:05}.txt", b"%05d" % n + b"x" * (n // 6 if n < 2990 else n - 2000)) for n in range(3000)
    ]
    contents += [(f"lines/file-{n:05}.py", b"line %d\n" % n) for n in range(1000)]
    repository.fast_commit("Ada", contents)
    repository.fast_commit("Bob", [("lines/file-00000.py", b"changed\nmore\n"), ("flat/file-00000.py", b"x = 1\n")])
    run = report_on(repository.folder, repository.environ)
    assert run.failure is None, run.failure
    data = run.value["data"]
    first = repository.git("rev-parse", "HEAD^")
    assert data["history"]["too_large"] == [first]
    assert data["code"] == {
        "files": 50_000,
        "code_files": 47_000,
        "code_lines": 1002,
        "test_files": 0,
        "test_lines": 0,
        "tests_to_code": 0.0,
    }
    assert data["largest"] == [{"path": f"sized/file-{n:05}.txt", "bytes": n - 1995} for n in range(2999, 2989, -1)]
    assert [(row["path"], row["commits"]) for row in data["hot_spots"]] == [
        ("lines/file-00000.py", 1),
        ("flat/file-00000.py", 1),
    ]
    assert run.longest_turn_s < 1


@pytest.mark.slow
def test_thousands_of_files_of_one_size_are_all_the_largest(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "r")
    contents = [(f"same/{n:04}", b"%05d" % n) for n in range(2500)] + [("more", b"123456")]
    repository.fast_commit("Ada", contents)
    largest = report_on(repository.folder, repository.environ).value["data"]["largest"]
    assert largest[0] == {"path": "more", "bytes": 6}
    assert [row["bytes"] for row in largest[1:]] == [5] * 9
    assert len({row["path"] for row in largest}) == 10


@pytest.mark.slow
def test_more_notes_than_can_be_dated_says_how_many_were(tmp_path: Path) -> None:
    """Files that no commit read has touched go first: their notes cannot be younger than the others'."""
    repository = GitRepository(tmp_path / "r")
    note = "TO" + "DO"
    repository.commit("Ada", {f"old{n:02}.py": f"# {note} old\n" for n in range(10)})
    for n in range(8):
        repository.commit("Bob", {f"new{n}.py": f"# {note} new\n"})
    run = report_on(repository.folder, repository.environ, commits=8)
    notes = run.value["data"]["notes"]
    assert (notes["total"], notes["files"], notes["dated"], notes["complete"]) == (18, 18, 12, True)
    assert {row["text"] for row in notes["oldest"]} == {f"{note} old"}
    assert len(notes["oldest"]) == 10
    assert (
        "18 lines with TODO or FIXME in 18 files. 12 were dated, in the files that were left alone longest."
        in (run.value["report"])
    )

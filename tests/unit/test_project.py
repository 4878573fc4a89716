"""The shape of the repository: pinned requirements, top level, direction of imports, size of files and functions."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCES = ("server", "protocol")

TOP_LEVEL = {"pyproject.toml", "server", "protocol", "tests", "editors"}
TOP_LEVEL |= {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "requirements"}
# What building the package leaves behind; git ignores it too.
TOP_LEVEL |= {"build", "dist"}

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
# A file or function that has to be longer stands here as "path" or "path:function", with its reason.
# A workflow script is one file: it cannot import another.
ALLOWED_TO_BE_LONGER: frozenset[str] = frozenset({"server/sidestep/builtin/repo-report.py"})

PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
COMMENT = re.compile(r"^\s*#( [\w :,.()/-]*)?$")
ADDRESS = re.compile(
    r"://|\b[\w-]+\.(org|com|net|io|dev)\b|(?<![\w.])/\w|--(index|extra-index|find-links|trusted-host)"
)


def python_files() -> list[Path]:
    return sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))


def pinned_versions(lock: str) -> dict[str, str]:
    """Versions by package of `requirements/<lock>.txt`."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    return {found[1]: found[2] for found in map(PINNED.match, lines) if found}


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_every_line_of_a_lock_is_a_pin_a_hash_or_a_comment_and_names_no_address(lock: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    strange = [line for line in lines if line and not any(p.match(line) for p in (PINNED, HASH, COMMENT))]
    assert strange == []
    assert [line for line in lines if ADDRESS.search(line)] == []


def test_no_file_beside_the_locks_names_an_address() -> None:
    files = [*ROOT.glob("requirements/*"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    # None in a lock of npm either, be it a package's or whom it asks for funding.
    files += [path for path in ROOT.glob("*/**/package-lock.json") if "node_modules" not in path.parts]
    named = re.compile(r"https?://|--(index-url|extra-index-url|trusted-host)\s")
    assert [path.name for path in files if named.search(path.read_text())] == []


def test_the_locks_fit_the_declared_dependencies() -> None:
    """A dependency added to pyproject.toml or to an `.in` file needs `make lock`."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for lock, inputs in {"runtime": ["build.in"], "dev": ["build.in", "dev.in"]}.items():
        lines = [line for name in inputs for line in (ROOT / "requirements" / name).read_text().splitlines()]
        wanted = [Requirement(line) for line in [*declared, *lines] if line and not line.startswith("#")]
        pinned = pinned_versions(lock)
        versions = {str(requirement): pinned.get(canonicalize_name(requirement.name)) for requirement in wanted}
        missing = [
            r for r, version in versions.items() if not version or not Requirement(r).specifier.contains(version)
        ]
        assert missing == [], f"not in {lock}.txt"


def test_the_development_lock_holds_the_runtime_lock() -> None:
    """`make test` after `make demo`, and the other way round, change no version."""
    assert pinned_versions("runtime").items() <= pinned_versions("dev").items()


def test_the_top_level_holds_only_what_the_layout_allows() -> None:
    assert {name for name in os.listdir(ROOT) if not name.startswith(".")} - TOP_LEVEL == set()


@pytest.mark.slow
def test_imports_go_the_way_the_contracts_say() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in SOURCES)}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    done = subprocess.run(
        [*command, "--no-logo", "--no-cache"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_too_long() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines()) for path in python_files()}
    long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert {name: lines for name, lines in long.items() if name not in ALLOWED_TO_BE_LONGER} == {}


def test_no_function_is_too_long() -> None:
    long = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{path.relative_to(ROOT).as_posix()}:{node.name}"] = lines
    assert {name: lines for name, lines in long.items() if name not in ALLOWED_TO_BE_LONGER} == {}

"""Fixtures for the tests that drive Neovim; each test runs in each editor there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.editors.neovim.editor import Neovim, Project, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@pytest.fixture(params=programs().values(), ids=list(programs()))
def program(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.install()
    return project


@pytest.fixture
def start(program: str, project: Project) -> Iterator[Callable[..., Neovim]]:
    """Starts an editor in the project."""
    started: list[Neovim] = []

    def start(environ: Mapping[str, str] | None = None) -> Neovim:
        started.append(Neovim(program, project, environ))
        return started[-1]

    yield start
    for editor in started:
        editor.close()


@pytest.fixture
def neovim(start: Callable[..., Neovim]) -> Neovim:
    return start()

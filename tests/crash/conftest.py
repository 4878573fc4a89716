"""What the sweeps share: the nursery of armed servers, and the run that nothing happened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.servers import Nursery
from tests.crash.sweep import Ground, Reference, reference_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Tell = Callable[[str], None]


_told = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say what a sweep came to, below the tests' results."""
    lines = request.config.stash.setdefault(_told, [])
    return lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_told, [])
    if lines:
        terminalreporter.section("crash sweeps")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def nursery() -> Generator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture(scope="session")
def reference(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference_run(Ground(tmp_path_factory.mktemp("reference"), nursery))

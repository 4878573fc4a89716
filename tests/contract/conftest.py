"""Every test of the contract runs on both stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.stores import Backend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return Backend(request.param, tmp_path)

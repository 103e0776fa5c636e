from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from invdpo.rounds.run import Improvement
from tests.invdpo.rounds.small import run_rounds, small_config


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Improvement:
    return run_rounds(tmp_path_factory.mktemp("rounds") / "work", small_config())


@pytest.fixture
def copied(done: Improvement, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done.plan.root, tmp_path / "work"))

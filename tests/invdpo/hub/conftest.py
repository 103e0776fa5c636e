from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import connected
from tests.invdpo.hub.shelf import Shelf, push
from tests.workspaces import build


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built") / "work").root


@pytest.fixture
def shelf(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    with connected(monkeypatch, tmp_path / "home") as hub:
        push(work)
        yield Shelf(hub, work)

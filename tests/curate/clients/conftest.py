"""What tests of asking a model share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.clients.questions import VlmClient, WorkerPool
from invdpo.schemas.config.annotate import AnnotateConfig
from tests.curate.clients.server import SECRET
from tests.curate.clients.vlm_questions import Consult


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(WorkerPool, "sleep", lambda _, seconds: made.append(seconds))
    return made


@pytest.fixture
def consultant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Consult:
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)

    def make(url: str, **more: Any) -> VlmClient:
        given = {"vlm_model": "m", "vlm_cache": str(tmp_path / "cache"), "vlm_concurrency": 1}
        return VlmClient(AnnotateConfig(vlm_url=url, **{**given, **more}), "annotate")

    return make

"""Fixtures for tests that ask a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.clients.questions import VlmClient, WorkerPool
from invdpo.schemas.config.annotate import AnnotateConfig
from tests.curate.clients.server import SECRET
from tests.curate.clients.vlm_questions import Connect


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the pauses that would have been made."""
    pauses: list[float] = []
    monkeypatch.setattr(WorkerPool, "sleep", lambda _, seconds: pauses.append(seconds))
    return pauses


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connect:
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)

    def make(url: str, **more: Any) -> VlmClient:
        options = {"vlm_model": "m", "vlm_cache": str(tmp_path / "cache"), "vlm_concurrency": 1}
        return VlmClient(AnnotateConfig(vlm_url=url, **{**options, **more}), "annotate")

    return make

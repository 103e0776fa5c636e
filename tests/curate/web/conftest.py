"""What tests of asking a model share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.web.consult import Consultant
from invdpo.curate.web.crowd import Crowd
from invdpo.schemas.config import AnnotateConfig
from tests.curate.web.questions import Consult
from tests.curate.web.server import SECRET


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(Crowd, "sleep", lambda _, seconds: made.append(seconds))
    return made


@pytest.fixture
def consultant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Consult:
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)

    def make(url: str, **more: Any) -> Consultant:
        given = {"vlm_model": "m", "vlm_cache": str(tmp_path / "cache"), "vlm_concurrency": 1}
        return Consultant(AnnotateConfig(vlm_url=url, **{**given, **more}), "annotate")

    return make

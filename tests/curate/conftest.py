"""Fixtures shared by the tests of curate."""

from pathlib import Path

import pytest

from tests.curate.tiny import save_pipeline


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder of random weights that draws 16×16 images."""
    return save_pipeline(tmp_path_factory.mktemp("tiny") / "pipeline")

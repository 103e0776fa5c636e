"""Settings of a model folder that can't be used, and an error that is no matter of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.schemas import ModelError
from invdpo.schemas.io.model_folder import INDEX, model_errors, read_index, read_settings


def test_an_index_that_leads_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('{"_class_name": "X", "../unet": ["diffusers", "Y"]}')
    with pytest.raises(ModelError, match="must not refer to other folders"):
        read_index(tmp_path)


def test_settings_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none: can't be read: "):
        read_settings(tmp_path / "none")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ModelError, match=r"list\.json"):
        read_settings(tmp_path / "list.json")


def test_no_memory_is_no_fault_of_the_settings() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch has it."""

    with pytest.raises(OutOfMemoryError), model_errors("here"):
        raise OutOfMemoryError
    with pytest.raises(ModelError, match=r"here: can't be used \(.*odd.*\)"), model_errors("here"):
        raise RuntimeError("odd")

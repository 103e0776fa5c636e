"""Libraries are quiet inside the block, and as they were after it."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
from huggingface_hub import utils

from invdpo.schemas.io.logs import quiet_hub, quiet_libraries, quiet_logging


@pytest.mark.parametrize("errors", [True, False])
def test_libraries(errors: bool) -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(lib.get_verbosity(), lib.is_progress_bar_enabled()) for lib in libraries]
    level = logging.ERROR if errors else logging.CRITICAL
    with quiet_libraries(errors=errors):
        inside = [(lib.get_verbosity(), lib.is_progress_bar_enabled()) for lib in libraries]
    assert inside == [(level, False)] * 2
    assert before == [(lib.get_verbosity(), lib.is_progress_bar_enabled()) for lib in libraries]


def test_the_hubs_client(recwarn: pytest.WarningsRecorder) -> None:
    client: Any = utils  # partly untyped

    def state() -> tuple[int, bool]:
        return client.logging.get_verbosity(), client.are_progress_bars_disabled()

    def fail() -> None:
        assert state() == (logging.ERROR, True)  # stderr of a test is no terminal
        warnings.warn("a remark", stacklevel=1)
        raise KeyError

    before = state()
    with pytest.raises(KeyError), quiet_hub():
        fail()
    assert state() == before
    assert not recwarn.list


def test_the_root_logger(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_logging():
        logging.warning("kept back")
        logging.error("shown")
    logging.warning("shown again")
    assert [record.message for record in caplog.records] == ["shown", "shown again"]

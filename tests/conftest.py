"""Fixtures that tests of several rooms share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browser import browser, page
from tests.hub_server import HubServer, connected

__all__ = ["browser", "hub", "page"]

settings.register_profile("any processor", deadline=None)
settings.load_profile("any processor")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on this machine that the test's process talks to, logged in as `alice`."""
    with connected(monkeypatch, tmp_path) as server:
        yield server

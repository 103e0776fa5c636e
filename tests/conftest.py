"""Fixtures that tests of several rooms share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import browser, page
from tests.hub_server import HubServer, connected

__all__ = ["browser", "hub", "page"]

# how long an example takes says something of the machine alone
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on this machine that the test's process talks to, logged in as `alice`."""
    with connected(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests confirm is remembered for this session, not by the account that runs them."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield

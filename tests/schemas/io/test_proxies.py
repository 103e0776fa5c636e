"""Which hosts are this machine, and what libraries are told of it."""

from __future__ import annotations

import os
from typing import Any
from urllib import request

import pytest

from invdpo.schemas.io.proxies import is_loopback, spare_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("model.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("127.1", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("192.168.0.1", False),
        ("::2", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_hosts_of_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY"):  # so that they are taken away again
        monkeypatch.setenv(name, "")
    return monkeypatch


def test_loopback_is_added_to_what_is_spared(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", "http://proxy.example.org:3128")
    environment.setenv("NO_PROXY", "intranet, ::1")
    environment.delenv("no_proxy")
    for _ in range(2):
        spare_loopback()
        assert (
            os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intranet,::1,localhost,127.0.0.1"
        )
    library: Any = request
    assert library.proxy_bypass_environment("localhost:8080")
    assert not library.proxy_bypass_environment("example.org")


@pytest.mark.parametrize(("proxy", "spared"), [("", ""), ("http://p.example.org", "*")])
def test_what_needs_no_word_stays(environment: pytest.MonkeyPatch, proxy: str, spared: str) -> None:
    """Without a proxy in the environment the system's own settings hold; `*` spares all hosts."""
    environment.setenv("https_proxy", proxy)
    environment.setenv("no_proxy", spared)
    spare_loopback()
    assert os.environ["no_proxy"] == spared

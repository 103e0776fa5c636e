"""Paths and addresses: what they mean, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.storage.urls import is_remote, protocol, to_path
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, PluginError


@pytest.mark.parametrize("where", ["work", "/tmp/a b", "C:/work", Path("work")])
def test_paths_stay_paths(where: str | Path) -> None:
    assert to_path(where) == Path(where)
    assert not is_remote(to_path(where))


def test_addresses_behave_like_paths() -> None:
    found = to_path("memory://bucket/run")
    assert is_remote(found)
    assert protocol(found) == "memory"
    assert str(found / "candidates" / "part-00000.parquet") == (
        "memory://bucket/run/candidates/part-00000.parquet"
    )
    assert to_path("file:///tmp/a%20b") == Path("/tmp/a b")
    assert to_path("file://localhost/tmp/a") == Path("/tmp/a")


@pytest.mark.parametrize("url", ["file://~/run", "file:///~/run", "local://~me/run", "file://a/b"])
def test_what_is_no_address_of_a_file_gives_no_path_elsewhere(url: str) -> None:
    with pytest.raises(ConfigError, match=r"contains no path\. Give only the path"):
        to_path(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:SECRET@host/run",
        "s3://KEY:SECRET@bucket/run",
        "https://host/run?X-Amz-Signature=SECRET",
    ],
)
def test_addresses_with_keys_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(ConfigError, match="a user, a password or a query") as refused:
        to_path(url)
    assert "SECRET" not in str(refused.value)
    assert "KEY" not in str(refused.value)


def test_unknown_and_nested_addresses() -> None:
    with pytest.raises(ConfigError, match=r"unknown protocol sttp://\. Allowed: s3, gs"):
        to_path("sttp://bucket/run")
    with pytest.raises(ConfigError, match="URLs within URLs"):
        to_path("simplecache::s3://bucket/run")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(_: str) -> Any:
        raise ImportError("Install s3fs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(PluginError, match="needs the package s3fs"):
        to_path("s3://bucket/run")


@pytest.mark.parametrize("url", ["https://host/run", "hf://datasets/owner/name"])
def test_places_that_hold_no_workspace(url: str) -> None:
    with pytest.raises(ConfigError, match="can't hold a workspace"):
        Workspace(url)

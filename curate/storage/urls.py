"""Paths of this machine, and addresses that fsspec knows (`s3://bucket/run`).

An address on an object store is a `UPath` of universal_pathlib, which behaves as a `Path` does, and
is typed as one here. What differs (writing, reading, the lock) goes through `object_store`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from invdpo.schemas import ConfigError, PluginError
from invdpo.schemas.io.home import expand_home, expand_path
from invdpo.schemas.io.redact import holds_secrets, without_secrets

URL = re.compile(r"[A-Za-z][\w+.-]+(::[\w+.-]+)*://")
LOCAL = ("file", "local")
PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}


def to_path(where: str | Path) -> Path:
    """What a path or an address means; nothing is opened.

    Raises `ConfigError` for an address that holds a key, or of an unknown kind; `PluginError` when
    the package for it is missing.
    """
    if not isinstance(where, str):
        return where if is_remote(where) else expand_path(where)
    if not URL.match(where):
        return Path(expand_home(where))
    parts = urlsplit(where)
    if parts.scheme in LOCAL:
        if parts.netloc not in ("", "localhost") or parts.path.startswith("/~"):
            raise ConfigError(f"{without_secrets(where)}: contains no path. Give only the path.")
        return Path(unquote(parts.path))
    _check(where, parts.scheme)
    from upath import UPath

    # Listings that are remembered would hide what other machines write.
    return cast(Path, UPath(where, use_listings_cache=False))


def is_remote(path: Path) -> bool:
    """Whether it is behind a URL, not on this machine's file system."""
    return not isinstance(path, Path)


def protocol(path: Path) -> str:
    """`s3` and the like; `file` for this machine."""
    remote: Any = path
    return str(remote.protocol) if is_remote(path) else "file"


def check_writable(root: Path) -> None:
    """Raises `ConfigError` for places that can be read only, or where every file is a commit."""
    kind = protocol(root)
    if kind in ("http", "https") or (kind == "hf" and "/buckets/" not in f"{root}/"):
        raise ConfigError(
            f"{root}: can't hold a workspace. Give a path, or a URL on an object store, such as "
            "s3://BUCKET/run or hf://buckets/OWNER/NAME/run."
        )


def _check(url: str, scheme: str) -> None:
    if holds_secrets(url):
        raise ConfigError(
            f"{without_secrets(url)}: contains a user, a password or a query. Give the URL "
            "without them; put keys into environment variables or fsspec's configuration."
        )
    if "::" in url.partition("://")[0] or "#" in url:
        raise ConfigError(f"{without_secrets(url)}: URLs within URLs are not supported.")
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError:
        known = "s3, gs, az, hf, https and others of fsspec, or a path"
        raise ConfigError(f"{url}: unknown protocol {scheme}://. Allowed: {known}.") from None
    except ImportError:
        package = PACKAGES.get(scheme, f"fsspec names for {scheme}://")
        text = f"{url}: needs the package {package}. Install it: pip install {package}"
        raise PluginError(text) from None

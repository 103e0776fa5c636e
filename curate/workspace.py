"""The workspace: one folder that holds a run, where everything lies in it, and its lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.lock import Held, RemoteLock
from invdpo.curate.storage.parts import exists, list_parts, maker, read_part
from invdpo.curate.storage.urls import check_writable, is_remote, to_path
from invdpo.schemas import ConfigError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.config.section import Section
from invdpo.schemas.io.lock import FolderLock, in_use
from invdpo.schemas.io.text import quote

WORK, OTHER = "working on this workspace", "workspace"
"""What a lock's holder does, and what someone who comes second could use instead."""


class Workspace:
    """A folder of tables, here or on an object store. Making one touches nothing.

    Raises `ConfigError` for an address that can't hold one.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = to_path(root)
        check_writable(self.root)
        self._remote_lock = RemoteLock(self.root / ".lock") if is_remote(self.root) else None
        self._replaced: bytes | None = None
        """The configuration before the first one that was saved; empty for none."""
        self._accepted: dict[str, Section] = {}
        """Sections that a table was made with since."""

    @property
    def config_path(self) -> Path:
        """The resolved configuration of the run."""
        return self.root / "invdpo.yaml"

    @property
    def prompts_path(self) -> Path:
        """The table of prompts."""
        return self.root / "prompts.parquet"

    @property
    def candidates_dir(self) -> Path:
        """Parts of candidates."""
        return self.root / "candidates"

    def annotations_dir(self, annotator: str) -> Path:
        """Parts of one annotator."""
        return self.root / "annotations" / _plain(annotator)

    def scores_dir(self, scorer: str) -> Path:
        """Parts of one scorer."""
        return self.root / "scores" / _plain(scorer)

    @property
    def pairs_path(self) -> Path:
        """The table of pairs."""
        return self.root / "pairs.parquet"

    @property
    def report_path(self) -> Path:
        """What the pairing kept and dropped, and why."""
        return self.root / "pairs.report.json"

    @property
    def reviews_path(self) -> Path:
        """What people decided on pairs."""
        return self.root / "reviews.parquet"

    @property
    def dataset_dir(self) -> Path:
        """The data set to publish and to train on."""
        return self.root / "dataset"

    def iter_parts(self, folder: Path) -> list[Path]:
        """The parts of a table. Raises `WorkspaceError` naming the command that makes it."""
        parts = list_parts(folder)
        if not parts:
            raise WorkspaceError(f"{folder}: not there yet. First run: {maker(folder)}")
        return parts

    def read_table(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table, one file or a folder of parts. Raises `WorkspaceError` as `iter_parts`."""
        if path.suffix == ".parquet":
            return read_part(self.need(path), columns)
        return pa.concat_tables(read_part(part, columns) for part in self.iter_parts(path))

    def need(self, path: Path) -> Path:
        """`path` itself. Raises `WorkspaceError` naming the command that makes it."""
        if not exists(path):
            raise WorkspaceError(f"{path}: not there yet. First run: {maker(path)}")
        return path

    def configs(self) -> list[Path]:
        """The configuration, if it is there. Raises `WorkspaceError` for a store out of reach."""
        return [self.config_path] if exists(self.config_path) else []

    def save_config(self, config: Config) -> None:
        """Write the resolved configuration, whole or not at all."""
        if self._replaced is None:
            self._replaced = b"".join(path.read_bytes() for path in self.configs())
        with replacing(self.config_path) as temporary:
            temporary.write_text(dump_config(config), encoding="utf-8")

    def accept_config(self, config: Config, *sections: str) -> None:
        """Keep these sections whatever fails later: something was made with them."""
        self._accepted |= {name: getattr(config, name) for name in sections}

    def restore_config(self) -> None:
        """Put back what `save_config` replaced, but for the sections that were accepted.

        The options of a command that failed would decide the next one otherwise.
        """
        if self._replaced is None:
            return
        if self._replaced:
            with replacing(self.config_path) as temporary:
                temporary.write_bytes(self._replaced)
        if self._accepted:
            earlier = load_config(self.config_path) if self._replaced else Config()
            self.save_config(earlier.model_copy(update=self._accepted))
        elif not self._replaced:
            self.config_path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out; may be nested. Raises `WorkspaceError` when one is at work."""
        if self._remote_lock is None:
            with FolderLock(self.root, WORK, other=OTHER):
                yield
            return
        with storage_errors(self.root):
            try:
                self._remote_lock.acquire()
            except Held as held:
                raise in_use(self.root, str(held), WORK, OTHER) from None
        try:
            yield
        finally:
            with storage_errors(self.root):
                self._remote_lock.release()


def _plain(name: str) -> str:
    """The name of a table, which a configuration may hold. Raises `ConfigError` for a path."""
    if name.startswith(".") or set(name) & set("/\\:\0"):
        text = "found what is no name of a scorer or annotator"
        raise ConfigError(f"{quote(name)}: {text}; expected letters, digits, _ and -.")
    return name

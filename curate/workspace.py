"""The workspace: one folder that holds a run, where everything lies in it, and its lock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from filelock import FileLock, Timeout

from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.lock import Held, RemoteLock
from invdpo.curate.storage.parts import exists, list_parts, maker, read_part
from invdpo.curate.storage.urls import check_writable, is_remote, to_path
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.config.section import Section


class Workspace:
    """A folder of tables, here or on an object store. Making one touches nothing.

    Raises `ConfigError` for an address that can't hold one.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = to_path(root)
        check_writable(self.root)
        lock = self.root / ".lock"
        self._lock = RemoteLock(lock) if is_remote(self.root) else FileLock(lock, timeout=0)
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
        return self.root / "annotations" / annotator

    def scores_dir(self, scorer: str) -> Path:
        """Parts of one scorer."""
        return self.root / "scores" / scorer

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
        with storage_errors(self.root):
            if isinstance(self._lock, RemoteLock):
                self._acquire_remote(self._lock)
            else:
                self.root.mkdir(parents=True, exist_ok=True)
                self._acquire(self._lock)
        try:
            yield
        finally:
            with storage_errors(self.root):
                self._lock.release()

    def _acquire_remote(self, lock: RemoteLock) -> None:
        try:
            lock.acquire()
        except Held as held:
            raise WorkspaceError(_taken(self.root, str(held))) from None

    def _acquire(self, lock: FileLock) -> None:
        holder = self.root / ".lock.pid"
        try:
            lock.acquire()
        except Timeout:
            raise WorkspaceError(_taken(self.root, _holder(holder))) from None
        try:
            holder.write_text(str(os.getpid()))
        except OSError:
            lock.release()
            raise


def _taken(root: Path, holder: str) -> str:
    advice = "Wait until it ends, stop it, or use another workspace."
    return f"{root}: {holder} is working on this workspace. {advice}"


def _holder(path: Path) -> str:
    """Who holds the lock; it may not have written its number yet."""
    try:
        number = path.read_text()
    except OSError:
        number = ""
    return f"process {number}" if number else "another process"

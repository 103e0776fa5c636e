"""The workspace: one folder that holds a run, where everything in it is, and its lock.

Several sets of pairs may exist side by side. One set is in the workspace itself,
others by their names in `pair-sets/`, each with its report, dataset, decisions and options.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.lock import Held, RemoteLock
from invdpo.curate.storage.pair_sets import FOLDER as PAIR_SETS
from invdpo.curate.storage.pair_sets import check_set_name, is_set_name, words_of
from invdpo.curate.storage.parts import exists, list_parts, maker, read_part
from invdpo.curate.storage.urls import check_writable, is_remote, to_path
from invdpo.schemas import ConfigError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config, resolve_config
from invdpo.schemas.config.section import Section
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.lock import FolderLock, in_use
from invdpo.schemas.io.text import quote

WORK, OTHER = "working on this workspace", "workspace"
"""What a lock's holder does, and what someone who comes second could use instead."""
OF_A_SET = ("pair", "dataset")
"""Sections of the configuration that each named set of pairs has for itself."""


class Workspace:
    """A folder of tables, here or on an object store. Making one touches nothing.

    Raises `ConfigError` for an address that can't hold one, and for a name that is no safe one.
    """

    def __init__(self, root: Path | str, name: str | None = None) -> None:
        """`name` is that of the set of pairs; None for the one without a name."""
        self.root = to_path(root)
        self.name = None if name is None else check_set_name(name)
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
    def set_dir(self) -> Path:
        """What belongs to this set of pairs alone."""
        return self.root / PAIR_SETS / self.name if self.name else self.root

    @property
    def set_words(self) -> str:
        """How a command names this set of pairs: `work`, or `work --name strict`."""
        return words_of(self.set_dir)

    @property
    def title(self) -> str:
        """The workspace's own name, and that of the set if it has one."""
        return "-".join(filter(None, (self.root.resolve().name, self.name)))

    @property
    def pairs_path(self) -> Path:
        """The table of pairs."""
        return self.set_dir / "pairs.parquet"

    @property
    def report_path(self) -> Path:
        """What the pairing kept and dropped, and why."""
        return self.set_dir / "pairs.report.json"

    @property
    def reviews_path(self) -> Path:
        """What people decided on pairs."""
        return self.set_dir / "reviews.parquet"

    @property
    def dataset_dir(self) -> Path:
        """The dataset to publish and to train on."""
        return self.set_dir / "dataset"

    @property
    def report_dir(self) -> Path:
        """The page on the pairing, with its plots."""
        return self.set_dir / "report"

    def set_names(self) -> list[str]:
        """The named sets of pairs, those that failed after their report was written, too."""
        folder = self.root / PAIR_SETS
        with storage_errors(folder):
            reports = folder.glob(f"*/{self.report_path.name}")
            return sorted(n for n in (path.parent.name for path in reports) if is_set_name(n))

    def need_set(self) -> Workspace:
        """The workspace itself. Raises `WorkspaceError` when there is no set of its name."""
        names = self.set_names() if self.name else []
        if self.name and self.name not in names:
            self.need(self.prompts_path)
            text = f"{self.root}: no set of pairs is called {self.name}; there are: "
            text += f"{', '.join(names) or 'none with a name'}.\n"
            raise WorkspaceError(f"{text}First run: {maker(self.pairs_path)}")
        return self

    @property
    def _pushed_path(self) -> Path:
        return self.set_dir / "pushed.json"

    def note_push(self, repo: str) -> None:
        """Remember where a named set was pushed to, so that it is not replaced unasked."""
        with replacing(self._pushed_path) as temporary:
            temporary.write_text(json.dumps({"repo": repo}), encoding="utf-8")

    def pushed_to(self) -> str | None:
        """The repository of the set as it is here; None when it was not pushed."""
        if not exists(self._pushed_path):
            return None
        note = read_json(read_file(self._pushed_path), self._pushed_path, dict)
        return str(note.get("repo"))

    def forget_push(self) -> None:
        """The set is another one than was pushed."""
        if self.name:
            self._pushed_path.unlink(missing_ok=True)

    def iter_parts(self, folder: Path) -> list[Path]:
        """The parts of a table. Raises `WorkspaceError` naming the command that makes it."""
        parts = list_parts(folder)
        if not parts:
            raise WorkspaceError(f"{folder}: does not exist yet. First run: {maker(folder)}")
        return parts

    def read_table(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """A table, one file or a folder of parts. Raises `WorkspaceError` as `iter_parts`."""
        if path.suffix == ".parquet":
            return read_part(self.need(path), columns)
        return pa.concat_tables(read_part(part, columns) for part in self.iter_parts(path))

    def need(self, path: Path) -> Path:
        """`path` itself. Raises `WorkspaceError` naming the command that makes it."""
        if not exists(path):
            raise WorkspaceError(f"{path}: does not exist yet. First run: {maker(path)}")
        return path

    @property
    def config_paths(self) -> list[Path]:
        """The configuration of the run, and what a named set has of its own; later ones count."""
        return list(dict.fromkeys([self.config_path, self._own_config_path]))

    @property
    def _own_config_path(self) -> Path:
        return self.set_dir / self.config_path.name

    def configs(self) -> list[Path]:
        """Those `config_paths` that are there. Raises `WorkspaceError` for a store out of reach."""
        return [path for path in self.config_paths if exists(path)]

    def read_config(self) -> Config:
        """The configuration by which the pairs were chosen, as far as files are there."""
        return resolve_config(self.configs())

    def save_config(self, config: Config) -> None:
        """Write the resolved configuration atomically; of a named set what it decides."""
        path = self._own_config_path
        if self._replaced is None:
            self._replaced = path.read_bytes() if exists(path) else b""
        sections = OF_A_SET if self.name else None
        with replacing(path) as temporary:
            temporary.write_text(dump_config(config, sections), encoding="utf-8")

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
            with replacing(self._own_config_path) as temporary:
                temporary.write_bytes(self._replaced)
        if self._accepted:
            earlier = load_config(self._own_config_path) if self._replaced else Config()
            self.save_config(earlier.model_copy(update=self._accepted))
        elif not self._replaced:
            self._own_config_path.unlink(missing_ok=True)

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
        text = "found an invalid name of a scorer or annotator"
        raise ConfigError(f"{quote(name)}: {text}; expected letters, digits, _ and -.")
    return name

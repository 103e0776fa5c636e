"""Datasets in forms that no layout reads: which form, by the names of files, and the way out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from invdpo.schemas.layouts.names import SPLITS, side_folders

MAX_NAMES = 10_000
"""Files that are looked at; a folder may hold a whole disk."""
LOADED = (".arrow", ".jsonl", ".json", ".csv", ".tar", ".zip", ".lance")
"""Endings of files that `datasets` makes tables of."""
CONVERT = (
    'mkdir pairs && python -c "import sys; from datasets import {load} as load; '
    "[part.to_parquet(f'pairs/{{name}}.parquet') "
    'for name, part in load(sys.argv[1]{revision}).items()]" {where}'
)
CONVERT_ONE = (
    'mkdir pairs && python -c "import sys; from datasets import load_from_disk as load; '
    "load(sys.argv[1]).to_parquet('pairs/train.parquet')\" {where}"
)
"""Lines for a shell; what names are in them stands outside of the code."""


def names_of(folder: Path) -> list[str]:
    """The files below a folder, relative to it."""
    found = islice(folder.rglob("*"), MAX_NAMES)
    return [path.relative_to(folder).as_posix() for path in found if not path.is_dir()]


def may_be_read(names: Iterable[str]) -> bool:
    """Whether some layout looks where these files are."""
    paths = [PurePosixPath(name) for name in names]
    folders = {parent.as_posix() for path in paths for parent in path.parents}
    return any(_is_table(path) for path in paths) or any(
        {*sides} <= folders for split in SPLITS for sides in side_folders(split)
    )


def way_out(
    names: Sequence[str], where: str, *, on_hub: bool = False, revision: str | None = None
) -> str:
    """How to bring files in a form that is not read into one that is; empty if none is known."""
    options = f" --revision {shlex.quote(revision)}" if revision else ""
    paths = [PurePosixPath(name) for name in names]
    if any(path.name == "dataset_dict.json" for path in paths):
        return _convert("a folder of `save_to_disk`", CONVERT, where, "load_from_disk")
    if {"state.json", "dataset_info.json"} <= {*names}:
        return _convert("a folder of `save_to_disk`", CONVERT_ONE, where, "load_from_disk")
    nested = sorted({p.parent.as_posix() for p in paths if p.suffix == ".parquet"} - {".", "data"})
    if nested and not any(map(_is_table, paths)):
        return _name_folder(nested, where, f"{shlex.quote(where)}{options}" if on_hub else None)
    kind = next((s for s in LOADED if any(path.suffix == s for path in paths)), None)
    if kind:
        return _convert(f"files in {kind}", CONVERT, where, "load_dataset", revision)
    return ""


def _convert(form: str, command: str, where: str, load: str, revision: str | None = None) -> str:
    arguments = [where, revision] if revision else [where]
    named = ", revision=sys.argv[2]" if revision else ""
    line = command.format(load=load, where=shlex.join(arguments), revision=named)
    return f"Found {form}. Convert it to Parquet, and give the folder `pairs`:\n  {line}"


def _name_folder(nested: Sequence[str], where: str, on_hub: str | None) -> str:
    """`on_hub` has the repository as the Hub's command takes it."""
    first = next((name for name in nested if "train" in name.split("/")[-1]), nested[0])
    text = f"The Parquet files are in subfolders ({', '.join(nested[:4])}). "
    if on_hub is None:
        return f"{text}Give one of these folders: {where}/{first}"
    include = shlex.quote(f"{first}/*")
    fetch = f"hf download {on_hub} --repo-type dataset --include {include} --local-dir pairs"
    return f"{text}Download one, and give the folder `pairs/{first}`:\n  {fetch}"


def _is_table(path: PurePosixPath) -> bool:
    return path.suffix.lower() == ".parquet" and path.parent.as_posix() in (".", "data")

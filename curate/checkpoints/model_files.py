"""Which files a model is loaded from, how large they are, and how many bytes of them are here.

The Hub is asked for names and sizes; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.hub import Source
from invdpo.curate.checkpoints.weights import Weights
from invdpo.schemas.io.hub import hub_failures
from invdpo.schemas.io.model_folder import INDEX, PICKLES

SMALL = {".json", ".txt", ".model", ".jinja"}
"""Endings of configurations and vocabularies."""
WEIGHTS = {".safetensors", *PICKLES}
Choice = Callable[[Collection[str]], set[str]]
"""Of all files of a repository, those that are loaded."""


class ModelFiles(NamedTuple):
    """The files of one model: a folder or file of this machine, or a part of a Hub repository."""

    name: str
    location: str
    """A path here, or the id of a repository."""
    revision: str | None
    choose: Choice
    has_weights: bool = True


@dataclass(frozen=True)
class StoredModel:
    """A model, its size, and what of it must be downloaded."""

    name: str
    bytes: int | None
    """Of the files that are loaded; None when the Hub can't be asked and they are not here."""
    missing_bytes: int | None
    """Of those that are not here; None when that is not known."""


def pipeline_files(source: Source) -> ModelFiles:
    """Of a diffusers pipeline."""
    return ModelFiles(source.name, source.location, source.revision, _pipeline)


def transformers_files(weights: Weights) -> ModelFiles:
    """Of a model of transformers with its processor."""
    revision = weights.revision if weights.options else None
    return ModelFiles(weights.name, weights.location, revision, _top)


def processor_files(weights: Weights) -> ModelFiles:
    """Of a tokenizer or processor alone."""
    files = transformers_files(weights)
    return files._replace(choose=lambda names: _small(names, ""), has_weights=False)


def clip_files(source: open_clip.Source) -> ModelFiles:
    """Of an open_clip model."""
    location = source.repository if source.weights is None else str(source.weights)
    return ModelFiles(source.name, location, None, _clip)


def checkpoint_files(path: Path | str | None, repository: str, *files: str) -> ModelFiles:
    """Of single files of a repository, or of a path here that takes their place."""
    name, location = (Path(path).name, str(path)) if path else (repository, repository)
    return ModelFiles(name, location, None, lambda names: {*names} & {*files})


def look_up(files: ModelFiles, *, ask: bool = True) -> StoredModel:
    """The sizes. Without the Hub, or where it is not to be asked, only of what is here."""
    path = Path(files.location)
    if path.exists():
        inner = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        return StoredModel(files.name, sum(file.stat().st_size for file in inner), 0)
    cached = _cached_sizes(files.location, files.revision)
    sizes = _hub_sizes(files.location, files.revision) if ask else None
    if sizes is None:
        kept = files.choose(cached)
        endings = WEIGHTS if files.has_weights else SMALL
        if not any(PurePosixPath(name).suffix in endings for name in kept):
            return StoredModel(files.name, None, None)
        return StoredModel(files.name, sum(cached[name] for name in kept), 0)
    wanted = files.choose(sizes)
    missing = sum(sizes[name] for name in wanted - cached.keys())
    return StoredModel(files.name, sum(sizes[name] for name in wanted), missing)


def _hub_sizes(repository: str, revision: str | None) -> dict[str, int] | None:
    """File -> bytes, as the Hub states it now; None when it can't be asked."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=20)
    except hub_failures(ValueError):
        return None
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}


def _cached_sizes(repository: str, revision: str | None) -> dict[str, int]:
    """File -> bytes of what was fetched of a revision before."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"))
    reference = folder / "refs" / (revision or "main")
    commit = reference.read_text(encoding="utf-8") if reference.is_file() else revision or ""
    snapshot = folder / "snapshots" / commit
    if not commit or not snapshot.is_dir():
        return {}
    files = (path for path in snapshot.rglob("*") if path.is_file())
    return {path.relative_to(snapshot).as_posix(): path.stat().st_size for path in files}


def _pipeline(names: Collection[str]) -> set[str]:
    """The index, and what is in the components' folders, which all hold a configuration."""
    paths = [PurePosixPath(name) for name in names]
    folders = {str(path.parent) for path in paths if path.name.endswith("config.json")} - {"."}
    inner = {name for folder in folders for name in _weights(names, folder) | _small(names, folder)}
    return inner | ({INDEX} & {*names})


def _top(names: Collection[str]) -> set[str]:
    return _weights(names, "") | _small(names, "")


def _clip(names: Collection[str]) -> set[str]:
    weights = [name for name in open_clip.FETCHED[1:] if name in names]
    return _small(names, "") | {*weights[:1]}


def _weights(names: Collection[str], folder: str) -> set[str]:
    """Safetensors of a folder; those with a dot in their name are variants, which nobody loads."""
    paths = _inside(names, folder)
    return {str(p) for p in paths if p.suffix == ".safetensors" and "." not in p.stem}


def _small(names: Collection[str], folder: str) -> set[str]:
    return {str(path) for path in _inside(names, folder) if path.suffix in SMALL}


def _inside(names: Collection[str], folder: str) -> list[PurePosixPath]:
    paths = map(PurePosixPath, names)
    return [path for path in paths if str(path.parent) == (folder or ".")]

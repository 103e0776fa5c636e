"""Which model a name means: a diffusers folder here, or a repository on the Hub; nothing else.

Every command that takes a model asks here first, so that all of them answer alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invdpo.schemas.errors import DocumentError, InvdpoError, ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import hash_file, os_reason
from invdpo.schemas.io.hub import is_hub_id
from invdpo.schemas.io.redact import show_name
from invdpo.schemas.io.text import describe_error, quote

INDEX = "model_index.json"
DECISIVE = {".safetensors", ".json", ".txt", ".model", ".jinja"}
"""Endings of the files that decide what a pipeline generates."""
TRAINING_REPORT = "training.json"
BESIDE_MODELS = ("checkpoints", "evaluation", "pictures", "state")
"""Folders that a training and an evaluation leave in the folder of a model that was tuned."""
DENOISERS = ("unet", "transformer")
"""Components that predict noise or a velocity; a pipeline has one of them."""
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
SINGLE_FILES = {".safetensors", ".sft", ".gguf", *PICKLES}
PATHS = re.compile(r"[/\\:\0]|^\.")
"""What makes a path of a name."""
LISTED = 8
"""Files that an error names."""
WAY_OUT = (
    "Give a diffusers folder with safetensors. To convert a single file: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER), with "
    "StableDiffusionXLPipeline for SDXL, StableDiffusion3Pipeline, FluxPipeline and so on. "
    "(Files of a transformer alone need their family's other components beside them.)"
)


def find_folder(model: str) -> Path | None:
    """The folder that a name means; None for `OWNER/NAME`, which is on the Hub.

    Raises `ModelError` for a checkpoint in a single file, a folder without an index, and any other
    name. The Hub is not asked.
    """
    path, shown = Path(model), show_name(model)
    if path.is_dir():
        if not (path / INDEX).exists():
            raise ModelError(_no_index(path))
        return path
    if path.suffix.lower() in SINGLE_FILES:
        pickled = path.suffix.lower() in PICKLES
        kind = "a pickle, which can run code, is refused" if pickled else "a checkpoint in one file"
        raise ModelError(f"{shown}: {kind}. {WAY_OUT}")
    if path.exists():
        raise ModelError(f"{shown}: a file. {WAY_OUT}")
    if is_hub_id(model):
        return None
    raise ModelError(
        f"Unknown model {shown!r}. Allowed: `embedded`, `embedded-flow`, an existing diffusers "
        "folder, or a Hub id such as `organisation/name`."
    )


@contextmanager
def model_errors(where: object) -> Iterator[None]:
    """Raise `ModelError` for whatever libraries make of odd settings; no memory is another case."""
    try:
        yield
    except (InvdpoError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise ModelError(f"{where}: can't be used ({describe_error(error)}).") from error


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a pipeline. Raises `ModelError` for one that is none, or names other folders."""
    path = folder / INDEX
    index = read_settings(path)
    if outside := [name for name in index if PATHS.search(name)]:
        text = f"{path}: {quote(outside[0])} is not a valid name of a component"
        raise ModelError(f"{text}; a model's index must not refer to other folders.")
    return index


def check_settings(folder: Path) -> None:
    """Read the settings of all components, which libraries take less kindly.

    Raises `ModelError` for those that are none.
    """
    for name in read_index(folder):
        for path in sorted((folder / name).glob("*config.json")):
            read_settings(path)


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON file of a model. Raises `ModelError` when it can't be read, or is no object."""
    try:
        settings: dict[str, Any] = read_json(read_file(path), path, dict)
    except DocumentError as error:
        raise ModelError(str(error)) from None
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {os_reason(error)}.") from None
    return settings


def folder_revision(folder: Path) -> str:
    """A hash over weights, configurations and vocabularies; the same wherever the folder is.

    It is the `revision` of tables and datasets, and covers all components of a pipeline. What a
    training leaves beside the model it wrote is no part of it. The trainer's `hash_components`
    covers those that it loads: another value for the same folder. Both are kept, since each stands
    in files that were written before.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in DECISIVE and p.is_file())
    names = {file.relative_to(folder).as_posix(): file for file in files}
    if (folder / TRAINING_REPORT).is_file():
        beside = (f"{name}/" for name in BESIDE_MODELS)
        names = {n: f for n, f in names.items() if not n.startswith((TRAINING_REPORT, *beside))}
    return content_id(*sorted([name, hash_file(file)] for name, file in names.items()))


def _no_index(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    found = ", ".join(names[:LISTED]) or "nothing"
    if any(name.startswith(("adapter_", "pytorch_lora_weights")) for name in names):
        return (
            f"{folder}: a LoRA, no whole model (no {INDEX}). Give the model that it belongs to; "
            "`invdpo curate generate` takes the LoRA as --lora, `invdpo train` as --start-from."
        )
    single = any(Path(name).suffix.lower() in SINGLE_FILES for name in names)
    text = f"{folder}: no {INDEX}, so this is not a diffusers folder; found: {found}."
    return f"{text} {WAY_OUT}" if single else text

"""Which model a name means: the embedded one, a diffusers folder, or a repository on the Hub.

Everything here looks at names and files only; nothing is loaded. A model is known by its
revision: of a folder the hash of the files that decide its pictures, of a repository its commit.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from invdpo.curate.attempts import describe
from invdpo.curate.pieces import INDEX, check_pipeline, lacking
from invdpo.curate.shapes import bundle
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.hub import hub_failures
from invdpo.schemas.ids import content_id

EMBEDDED = "embedded"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
DECISIVE = {".safetensors", ".json", ".txt", ".model"}
"""Endings of the files that decide what a pipeline draws."""
LORA = "pytorch_lora_weights.safetensors"
"""What diffusers calls the weights of a LoRA."""


class Source(NamedTuple):
    """A model that was found."""

    name: str
    """As recorded in tables: without the folders of this machine."""
    location: str
    """What `from_pretrained` is given."""
    revision: str


def find_model(model: str, revision: str | None = None) -> Source:
    """What a configured name means. Raises `ModelError` or `ConfigError` saying what is allowed."""
    path = bundle.model_path() if model == EMBEDDED else Path(model)
    if model != EMBEDDED and HUB_ID.fullmatch(model) and not path.exists():
        return Source(model, model, commit_of(model, revision))
    if revision is not None:
        text = f"generate.revision: found {revision!r}; only models of the Hub have one."
        raise ConfigError(text)
    if model == EMBEDDED and not path.is_dir():
        raise ModelError("The embedded model is missing from this installation. Install it anew.")
    if not path.exists():
        raise ModelError(
            f"Unknown model {model!r}. Allowed: `{EMBEDDED}`, an existing diffusers folder, "
            "or a Hub id such as `organisation/name`."
        )
    check_pipeline(path)
    name = EMBEDDED if model == EMBEDDED else path.resolve().name
    return Source(name, str(path), folder_revision(path))


def find_lora(lora: str) -> Source:
    """A LoRA's file, folder or repository on the Hub. Raises `ModelError` without safetensors."""
    path = Path(lora)
    if not path.exists() and HUB_ID.fullmatch(lora):
        file = _hub_lora(lora)
        return Source(lora, str(file), _digest(file)[:32])
    if not path.exists():
        raise ModelError(f"{lora}: no such LoRA. Give a folder, a .safetensors file, or a Hub id.")
    files = [path] if path.is_file() else sorted(path.iterdir())
    weights = [file for file in files if file.suffix == ".safetensors"]
    if not weights:
        raise ModelError(lacking(lora, "LoRA weights", files))
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights)
        raise ModelError(f"{lora}: several weight files ({names}). Give one of them by its path.")
    return Source(path.resolve().name, str(weights[0]), _digest(weights[0])[:32])


def _hub_lora(name: str) -> Path:
    """The weights of a LoRA on the Hub, fetched, or as they were when last fetched."""
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        files = [file.rfilename for file in HfApi().model_info(name, timeout=20).siblings or ()]
        weights = [file for file in files if file.endswith(".safetensors")]
        if LORA in weights or len(weights) == 1:
            return Path(hf_hub_download(name, LORA if LORA in weights else weights[0]))
    except RepositoryNotFoundError:
        raise ModelError(f"{name}: neither a LoRA here nor a repository on the Hub.") from None
    except hub_failures() as error:
        if isinstance(cached := try_to_load_from_cache(name, LORA), str):
            return Path(cached)
        text = f"{name}: the Hub can't be reached, and no copy is here ({describe(error)})."
        raise ModelError(text) from error
    found = ", ".join(weights) or "none"
    text = f"{name}: no {LORA}; .safetensors files there: {found}."
    raise ModelError(f"{text} Download the one you want and give its path.")


def absent(location: str) -> dict[str, None]:
    """The pieces that a folder's index says are left out on purpose, such as SD 3's T5.

    `from_pretrained` wants some of them named.
    """
    return {name: None for name, entry in read_index(Path(location)).items() if entry == [None] * 2}


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a folder that was checked; empty where there is none, as for Hub ids."""
    path = folder / INDEX
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def folder_revision(folder: Path) -> str:
    """A hash over weights, configurations and vocabularies; the same wherever the folder lies."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in DECISIVE and p.is_file())
    named = [(file.relative_to(folder).as_posix(), _digest(file)) for file in files]
    return content_id(*sorted(named))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit_of(model: str, revision: str | None, file: str = INDEX) -> str:
    """The commit that a branch or tag of a Hub repository means now, or meant when last fetched.

    `file` is one that every copy of the repository has. Raises `ModelError` without any copy.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return str(HfApi().model_info(model, revision=revision, timeout=20).sha)
    except RepositoryNotFoundError:
        raise ModelError(f"{model}: neither a folder here nor a model on the Hub.") from None
    except hub_failures() as error:
        cached = try_to_load_from_cache(model, file, revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
        text = (
            f"{model}: no such folder here; the Hub can't be reached, and no copy is here "
            f"({describe(error)})."
        )
        raise ModelError(text) from error

"""Which model a name means: the embedded one, a diffusers folder, or a repository on the Hub.

Everything here looks at names and files only; nothing is loaded. A model is known by its
revision: of a folder the hash of the files that decide its pictures, of a repository its commit.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from invdpo.curate.attempts import describe
from invdpo.curate.shapes import bundle
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.ids import content_id

EMBEDDED = "embedded"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
DECISIVE = {".safetensors", ".json", ".txt", ".model"}
"""Endings of the files that decide what a pipeline draws."""
INDEX = "model_index.json"
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
        raise ModelError(_lacking(lora, "LoRA weights", files))
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights)
        raise ModelError(f"{lora}: several weight files ({names}). Give one of them by its path.")
    return Source(path.resolve().name, str(weights[0]), _digest(weights[0])[:32])


def _hub_lora(name: str) -> Path:
    """The weights of a LoRA on the Hub, fetched, or as they were when last fetched."""
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        files = HfApi().list_repo_files(name)
        weights = [file for file in files if file.endswith(".safetensors")]
        if LORA in weights or len(weights) == 1:
            return Path(hf_hub_download(name, LORA if LORA in weights else weights[0]))
    except RepositoryNotFoundError:
        raise ModelError(f"{name}: neither a LoRA here nor a repository on the Hub.") from None
    except (HfHubHTTPError, OSError) as error:
        if isinstance(cached := try_to_load_from_cache(name, LORA), str):
            return Path(cached)
        text = f"{name}: the Hub can't be reached, and no copy is here ({describe(error)})."
        raise ModelError(text) from error
    found = ", ".join(weights) or "none"
    text = f"{name}: no {LORA}; .safetensors files there: {found}."
    raise ModelError(f"{text} Download the one you want and give its path.")


def check_pipeline(folder: Path) -> None:
    """Refuse what is no diffusers folder with safetensors, naming the piece that is missing."""
    if not folder.is_dir():
        kind = "a pickle, which can run code, is refused" if folder.suffix in PICKLES else "a file"
        raise ModelError(f"{folder}: {kind}. Give a diffusers folder with safetensors.")
    for name, (library, _) in _components(folder).items():
        part = folder / name
        if not part.is_dir():
            raise ModelError(f"{folder}: the folder {name!r} ({library}) is missing.")
        files = sorted(part.iterdir())
        weights = any(file.suffix == ".safetensors" for file in files)
        pickled = any(file.suffix in PICKLES for file in files)
        # Only models keep a config.json; schedulers and tokenizers have files of other names.
        if not weights and (pickled or not files or (part / "config.json").exists()):
            raise ModelError(_lacking(str(part), "weights", files))


def _components(folder: Path) -> dict[str, tuple[str, str]]:
    """The pieces that a pipeline's index names: piece -> (library, class)."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        entries = {k: v for k, v in index.items() if isinstance(v, list) and v and v[0]}
    except FileNotFoundError:
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        text = f"{folder}: no {INDEX}, so no diffusers folder; found: {found}."
        raise ModelError(text) from None
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / INDEX}: can't be read: {error}.") from None
    return {name: (str(entry[0]), str(entry[-1])) for name, entry in entries.items()}


def absent(location: str) -> dict[str, None]:
    """The pieces that a folder's index says are left out on purpose, such as SD 3's T5.

    `from_pretrained` wants some of them named.
    """
    path = Path(location) / INDEX
    index = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: None for name, entry in index.items() if entry == [None, None]}


def _lacking(place: str, what: str, files: Iterable[Path]) -> str:
    pickles = [file.name for file in files if file.suffix in PICKLES]
    if pickles:
        return (
            f"{place}: found {pickles[0]}, a pickle, which can run code and is refused. "
            "Convert it to .safetensors (save_pretrained does)."
        )
    return f"{place}: no {what}; expected a .safetensors file."


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
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    # its bases are OSError and the HTTP library's own error, whichever library that is
    failures: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
    try:
        return str(HfApi().model_info(model, revision=revision, timeout=20).sha)
    except RepositoryNotFoundError:
        raise ModelError(f"{model}: neither a folder here nor a model on the Hub.") from None
    except failures as error:
        cached = try_to_load_from_cache(model, file, revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
        text = (
            f"{model}: no such folder here; the Hub can't be reached, and no copy is here "
            f"({describe(error)})."
        )
        raise ModelError(text) from error

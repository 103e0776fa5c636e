"""Which model a name means: the embedded one, a diffusers folder, or a repository on the Hub.

Everything here looks at names and files only; nothing is loaded. A model is known by its
revision: of a folder the hash of the files that decide its images, of a repository its commit. A
folder must be complete: every component that its index names, with the files it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from invdpo.curate.checkpoints.hub import Source, commit_of
from invdpo.curate.checkpoints.lora import PEFT_CONFIG, lora_revision
from invdpo.curate.shapes import bundle
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.io.hub import hub_failures, is_hub_id, model_error
from invdpo.schemas.io.model_folder import (
    PICKLES,
    check_settings,
    find_folder,
    folder_revision,
    read_index,
)
from invdpo.schemas.io.redact import show_name

LORA = "pytorch_lora_weights.safetensors"
"""What diffusers calls the weights of a LoRA."""


def find_model(model: str, revision: str | None = None) -> Source:
    """What a configured name means. Raises `ModelError` or `ConfigError` saying what is allowed."""
    embedded = bundle.bundled(model)
    if embedded and not embedded.is_dir():
        raise ModelError("The embedded model is missing from this installation. Reinstall invdpo.")
    path = find_folder(str(embedded or model))
    if path is None:
        return Source(model, model, commit_of(model, revision))
    if revision is not None:
        text = f"generate.revision: found {revision!r}; only models of the Hub have one."
        raise ConfigError(text)
    check_pipeline(path)
    name = model if embedded else path.resolve().name
    return Source(name, str(path), folder_revision(path))


def find_lora(lora: str) -> Source:
    """A LoRA's file, folder or repository on the Hub. Raises `ModelError` without safetensors."""
    path = Path(lora)
    if not path.exists() and is_hub_id(lora):
        file = _hub_lora(lora)
        return Source(lora, str(file), lora_revision(file))
    if not path.exists():
        shown = show_name(lora)
        raise ModelError(
            f"{shown!r}: no such LoRA. Give a folder, a .safetensors file, or a Hub id."
        )
    files = [path] if path.is_file() else sorted(path.iterdir())
    weights = [file for file in files if file.suffix == ".safetensors"]
    if not weights:
        raise ModelError(lacking(lora, "LoRA weights", files))
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights)
        raise ModelError(f"{lora}: several weight files ({names}). Give one of them by its path.")
    return Source(path.resolve().name, str(weights[0]), lora_revision(weights[0]))


def _hub_lora(name: str) -> Path:
    """The weights of a LoRA on the Hub, fetched, or as they were when last fetched."""
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        files = [file.rfilename for file in HfApi().model_info(name, timeout=20).siblings or ()]
        weights = [file for file in files if file.endswith(".safetensors")]
        if LORA in weights or len(weights) == 1:
            wanted = LORA if LORA in weights else weights[0]
            beside = str(Path(wanted).with_name(PEFT_CONFIG).as_posix())
            if beside in files:
                hf_hub_download(name, beside)
            return Path(hf_hub_download(name, wanted))
    except hub_failures() as error:
        cached = try_to_load_from_cache(name, LORA)
        if isinstance(cached, str) and not isinstance(error, RepositoryNotFoundError):
            return Path(cached)
        raise model_error(error, name) from None
    names = ", ".join(weights) or "none"
    text = f"{name}: no {LORA}; .safetensors files there: {names}."
    raise ModelError(f"{text} Download the one you want and give its path.")


def absent(folder: Path) -> dict[str, None]:
    """The pieces that a folder's index says are left out on purpose, such as SD 3's T5.

    `from_pretrained` wants some of them named.
    """
    return {name: None for name, entry in read_index(folder).items() if entry == [None] * 2}


VOCABULARIES = {"tokenizer.json", "vocab.json", "vocab.txt"}

SPELLED = {".model", ".tiktoken"}
"""Endings of vocabularies in forms of their own."""


def check_pipeline(folder: Path) -> None:
    """Refuse what is no diffusers folder with safetensors, naming the piece that is missing.

    Some libraries would make a tokenizer without words of a folder that lacks its vocabulary.
    """
    check_settings(folder)
    for name, (library, kind) in components(folder).items():
        part = folder / name
        if not part.is_dir():
            raise ModelError(f"{folder}: the folder {name!r} ({library}) is missing.")
        files = sorted(part.iterdir())
        if "Tokenizer" in kind:
            _check_tokenizer(part, {file.name for file in files})
        elif "Scheduler" in kind:
            _need(part, "scheduler_config.json", {file.name for file in files})
        else:
            _check_model(part, files)


def _check_tokenizer(part: Path, names: set[str]) -> None:
    _need(part, "tokenizer_config.json", names)
    spelled = any(Path(name).suffix in SPELLED for name in names)
    if not spelled and not names & VOCABULARIES:
        expected = "tokenizer.json, vocab.json, vocab.txt or a .model file"
        raise ModelError(f"{part}: no vocabulary; expected {expected}.")
    if not spelled and names & VOCABULARIES == {"vocab.json"}:
        _need(part, "merges.txt", names)


def _check_model(part: Path, files: Sequence[Path]) -> None:
    weights = any(file.suffix == ".safetensors" for file in files)
    pickled = any(file.suffix in PICKLES for file in files)
    # Of what is neither tokenizer nor scheduler, only models keep a config.json.
    if weights:
        _need(part, "config.json", {file.name for file in files})
    elif pickled or not files or (part / "config.json").exists():
        raise ModelError(lacking(str(part), "weights", files))


def _need(part: Path, name: str, names: set[str]) -> None:
    if name not in names:
        raise ModelError(f"{part}: {name} is missing.")


def components(folder: Path) -> dict[str, tuple[str, str]]:
    """The pieces that a pipeline's index names: piece -> (library, class)."""
    entries = {k: v for k, v in read_index(folder).items() if isinstance(v, list) and v and v[0]}
    return {name: (str(entry[0]), str(entry[-1])) for name, entry in entries.items()}


def lacking(location: str, what: str, files: Iterable[Path]) -> str:
    """Words for weights that are not there, or are there as a pickle."""
    pickles = [file.name for file in files if file.suffix in PICKLES]
    if pickles:
        return (
            f"{location}: found {pickles[0]}, a pickle, which can run code and is refused. "
            "Convert it to .safetensors (save_pretrained does)."
        )
    return f"{location}: no {what}; expected a .safetensors file."

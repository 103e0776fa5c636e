"""Whether a diffusers folder is whole: every piece its index names, with the files it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from invdpo.schemas import ModelError

INDEX = "model_index.json"
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
VOCABULARIES = {"tokenizer.json", "vocab.json", "vocab.txt"}
SPELLED = {".model", ".tiktoken"}
"""Endings of vocabularies in forms of their own."""


def check_pipeline(folder: Path) -> None:
    """Refuse what is no diffusers folder with safetensors, naming the piece that is missing.

    Some libraries would make a tokenizer without words of a folder that lacks its vocabulary.
    """
    if not folder.is_dir():
        kind = "a pickle, which can run code, is refused" if folder.suffix in PICKLES else "a file"
        raise ModelError(f"{folder}: {kind}. Give a diffusers folder with safetensors.")
    for name, (library, kind) in _components(folder).items():
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


def lacking(place: str, what: str, files: Iterable[Path]) -> str:
    """Words for weights that are not there, or are there as a pickle."""
    pickles = [file.name for file in files if file.suffix in PICKLES]
    if pickles:
        return (
            f"{place}: found {pickles[0]}, a pickle, which can run code and is refused. "
            "Convert it to .safetensors (save_pretrained does)."
        )
    return f"{place}: no {what}; expected a .safetensors file."

"""The file of a LoRA: its tensors' shapes, and PEFT's format, whose scale is in another file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from invdpo.curate.checkpoints.weights import read_shapes
from invdpo.schemas import ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.text import describe_error

T = TypeVar("T")

PEFT_PREFIX = "base_model.model"
"""What begins every key that `PeftModel.save_pretrained` writes."""
PEFT_CONFIG = "adapter_config.json"
PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal")
"""Ways to begin the training of a LoRA that leave the base model as it is."""


SPELLINGS = {".lora.down.weight": ".lora_A.weight", ".lora.up.weight": ".lora_B.weight"}
"""How diffusers wrote the tensors of attention layers, and how it writes all others."""


def is_mixed(keys: Iterable[str]) -> bool:
    """Whether a file has both spellings; the library then applies those of its first key alone."""
    names = tuple(keys)
    spelled = (tuple(SPELLINGS), tuple(SPELLINGS.values()))
    return all(any(key.endswith(ends) for key in names) for ends in spelled)


def in_one_spelling(weights: Mapping[str, T]) -> dict[str, T]:
    """The same with keys in the newer spelling, where both are in use."""
    mixed = is_mixed(weights)
    return {_newer(key) if mixed else key: value for key, value in weights.items()}


def _newer(key: str) -> str:
    end = next((end for end in SPELLINGS if key.endswith(end)), "")
    return key.removesuffix(end) + SPELLINGS[end] if end else key


def lora_revision(path: Path) -> str:
    """Hash of what decides the LoRA: its file, and PEFT's settings where it needs them."""
    weights, settings = hash_file(path), path.with_name(PEFT_CONFIG)
    if settings.is_file() and _is_peft_form(path):
        return content_id(weights, hash_file(settings))[:32]
    return weights[:32]


def peft_settings(path: Path) -> dict[str, Any] | None:
    """The `LoraConfig` of a LoRA in PEFT's own form, as `load_lora_adapter` takes it, else None.

    Raises `ModelError` where it is missing, or is of a kind that a frozen base model can't take.
    """
    if not _is_peft_form(path):
        return None
    from peft import PeftConfig

    file = path.with_name(PEFT_CONFIG)
    if not file.is_file():
        text = f"{path}: a LoRA in PEFT's format, whose scale is in {PEFT_CONFIG}, which is not"
        raise ModelError(f"{text} there. Put it in the same folder.")
    try:
        settings = PeftConfig.from_pretrained(str(path.parent)).to_dict()
    except Exception as error:  # PEFT raises whatever its parts raise
        raise ModelError(f"{file}: can't be read ({describe_error(error)}).") from error
    kind, start = settings["peft_type"], settings.get("init_lora_weights")
    if kind != "LORA" or start not in PLAIN_STARTS:
        setting = f"init_lora_weights {start!r}" if kind == "LORA" else f"peft_type {kind!s}"
        raise ModelError(f"{file}: found {setting}; only a plain LoRA is supported. Convert it.")
    return {f"{PEFT_PREFIX}.{key}": value for key, value in settings.items()}


def _is_peft_form(path: Path) -> bool:
    try:
        return any(key.startswith(f"{PEFT_PREFIX}.") for key in read_shapes(path))
    except ModelError:
        return False

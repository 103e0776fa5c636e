"""Starting from the weights that an earlier training wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, DocumentError, ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import DENOISERS, TRAINING_REPORT, folder_revision
from invdpo.schemas.io.text import count_noun
from invdpo.train.models.base import ModelAdapter
from invdpo.train.models.lora_format import FILE

OLDER = {"down": "lora_A", "up": "lora_B"}
"""Names of a LoRA's halves in files that older versions of diffusers read, too -> PEFT's."""


def load_lora(denoiser: Any, folder: Path) -> None:
    """Fill the LoRA on the denoiser with the one in `folder`.

    Raises `ConfigError` unless both have the same layers and the same rank.
    """
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / FILE
    try:
        stored = _peft_names(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"start_from: {path} can't be read ({error}).") from None
    own = {name: tensor.shape for name, tensor in get_peft_model_state_dict(denoiser).items()}
    if {name: tensor.shape for name, tensor in stored.items()} != own:
        fitting = sum(own.get(name) == tensor.shape for name, tensor in stored.items())
        raise ConfigError(
            f"start_from: {path} holds {count_noun(len(stored), 'tensor')}, of which {fitting} fit "
            f"the {len(own)} of this LoRA. Train with the same lora_rank and lora_targets, and "
            "with lora_format diffusers."
        )
    with quiet_libraries():
        set_peft_model_state_dict(denoiser, stored)


def _peft_names(tensors: dict[str, Any]) -> dict[str, Any]:
    """What `lora_format.diffusers_names` made, by PEFT's own names."""
    older = {f".lora.{old}.": f".{new}." for old, new in OLDER.items()}
    names = {}
    for name, value in tensors.items():
        own = name.split(".", 1)[1] if name.split(".")[0] in DENOISERS else name
        for old, new in older.items():
            own = own.replace(old, new)
        names[own] = value
    return names


def load_denoiser(denoiser: Any, folder: Path, component: str) -> None:
    """Fill the denoiser with that of the model in `folder`. Raises `ConfigError` for others."""
    from huggingface_hub import load_torch_model

    try:
        missing, unexpected = load_torch_model(
            denoiser, folder / component, strict=False, safe=True
        )
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"start_from: {folder} is not a model of this kind ({reason}).") from None
    if missing or unexpected:
        count = len(missing) + len(unexpected)
        raise ConfigError(
            f"start_from: {folder} is a model of another kind: {count_noun(count, 'tensor')}."
        )


def reference_id(fingerprint: str, config: TrainConfig) -> str:
    """Which frozen model the cached quantities are of; `fingerprint` is the base model's."""
    if config.reference == "base" or not config.start_from:
        return fingerprint
    return content_id(fingerprint, start_id(config))


def drawing_revision(adapter: ModelAdapter, config: TrainConfig) -> str:
    """The `revision` that a dataset records for images which the reference generated."""
    folder = adapter.folder
    in_hub_cache = folder.parent.name == "snapshots"
    revision = folder.name if in_hub_cache else folder_revision(folder)
    if config.start_from and config.reference == "start":
        revision += f"+{hash_file(Path(config.start_from) / FILE)[:32]}"
    return revision


def notes_on_base(config: TrainConfig, fingerprint: str) -> list[str]:
    """A note on a LoRA that its report says was trained on another model than `fingerprint`.

    It has the same layers, so nothing else tells.
    """
    folder = Path(config.start_from or "")
    kept_by = folder.parents[1] if folder.parent.name == "checkpoints" else folder
    path = kept_by / TRAINING_REPORT
    if not config.start_from or config.tuning != "lora" or not path.is_file():
        return []
    try:
        base = read_json(read_file(path), path, dict).get("model")
    except (DocumentError, OSError):
        return []
    if base in (None, fingerprint):
        return []
    return [
        "start_from: this LoRA was trained on a model with other weights, so on this one neither "
        "the start nor the reference is what that training left. Give its model, which the "
        f"`config` of its {TRAINING_REPORT} names."
    ]


def start_id(config: TrainConfig) -> str | None:
    """Hash of the weights that training starts from; None for the base model's own.

    Raises `ConfigError` for a folder without weights of all layers, `ModelError` for a lost LoRA.
    """
    if not config.start_from:
        return None
    folder = Path(config.start_from)
    files = [folder / FILE]
    if config.tuning == "full":
        files = [file for name in DENOISERS for file in sorted((folder / name).glob("*.s*"))]
        if not files:
            found = "a LoRA" if (folder / FILE).is_file() else "no model"
            raise ConfigError(
                f"start_from: found {found} in {folder}; allowed with tuning: full is a folder "
                f"with {' or '.join(DENOISERS)}. Give one, or tuning: lora for a LoRA."
            )
    try:
        return content_id(*(hash_file(path) for path in files))
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"start_from: {error.filename}: {reason}.") from None

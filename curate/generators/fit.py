"""Whether LoRAs fit a model, by the heads of their files, before anything is loaded.

Only what is sure is refused here: layers of another width, and a file that names none of the
model's. `adapters.py` counts the rest, whose names the library changes, once all is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from invdpo.curate.checkpoints.lora import PEFT_PREFIX
from invdpo.curate.checkpoints.weights import read_shapes
from invdpo.curate.generators.specs import LoraSpec, ModelSpec
from invdpo.schemas import ModelError
from invdpo.schemas.io.model_folder import DENOISERS

KEY = re.compile(
    rf"(unet\.|transformer\.|lora_unet_|{re.escape(PEFT_PREFIX)}\.)(.+)\."
    r"(lora[._]down|lora_A|lora[._]up|lora_B)\.weight"
)
"""A tensor of a layer: as diffusers writes it, kohya and PEFT. Group 3 is its side."""


def check_fit(spec: ModelSpec) -> None:
    """Raise `ModelError` for a LoRA that can't fit; a model that isn't here yet is let pass."""
    folder = Path(spec.model.location)
    if spec.adapters and (layers := _layers(folder)):
        for adapter in spec.adapters:
            if reason := _misfit(read_shapes(Path(adapter.source.location)), layers):
                raise misfit(adapter, spec, reason)


def misfit(adapter: LoraSpec, spec: ModelSpec, reason: str) -> ModelError:
    """The error of a LoRA that does not fit."""
    return ModelError(
        f"{adapter.path}: this LoRA does not fit the model {spec.name} "
        f"({reason}). Give the model that it was trained on."
    )


def _layers(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name of a layer, with underscores, -> shape of its weight."""
    files = [file for name in DENOISERS for file in sorted((folder / name).glob("*.safetensors"))]
    shapes = {name: shape for file in files for name, shape in read_shapes(file).items()}
    ends = ".weight"
    return {
        name.removesuffix(ends).replace(".", "_"): shape
        for name, shape in shapes.items()
        if name.endswith(ends)
    }


def _misfit(
    lora: Mapping[str, tuple[int, ...]], layers: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Why a LoRA can't fit, if it can't."""
    found, dotted = 0, 0
    for key, shape in lora.items():
        if (match := KEY.fullmatch(key)) is None:
            continue
        prefix, name, side = match.groups()
        dotted += prefix.endswith(".")
        layer = layers.get(name.replace(".", "_"), ())
        axis = 1 if side.endswith(("down", "A")) else 0
        if min(len(layer), len(shape)) < 2:
            continue
        found += 1
        if shape[axis] != layer[axis]:
            return f"{name}: {shape[axis]} channels, {layer[axis]} in the model"
    return "the model has none of its layers" if dotted and not found else None

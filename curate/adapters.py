"""LoRAs on a pipeline, each with its scale."""

from __future__ import annotations

import re
import warnings
from typing import Any

from invdpo.curate.attempts import describe
from invdpo.curate.recipes import Recipe
from invdpo.schemas import ModelError
from invdpo.schemas.quiet import quiet


def adapt(pipeline: Any, recipe: Recipe) -> None:
    """Load the recipe's LoRAs on its model. Raises `ModelError` naming the one that doesn't fit."""
    names = [f"lora{number}" for number in range(len(recipe.adapters))]
    for name, adapter in zip(names, recipe.adapters, strict=True):
        try:
            with quiet(errors=False), warnings.catch_warnings():
                # Of several on one model, which is what is wanted here.
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")
                pipeline.load_lora_weights(
                    adapter.source.location, use_safetensors=True, adapter_name=name
                )
        except Exception as error:
            raise ModelError(
                f"{adapter.place}: this LoRA does not fit the model {recipe.name} "
                f"({_misfit(error)}). Give the model that it was trained on."
            ) from error
    if len(names) > 1 or any(adapter.scale != 1 for adapter in recipe.adapters):
        pipeline.set_adapters(names, adapter_weights=[a.scale for a in recipe.adapters])


def _misfit(error: Exception) -> str:
    """Another architecture in words, with the first layer that shows it; else the error."""
    text = str(error)
    if found := MISMATCH.search(text):
        layer, theirs, ours = found.groups()
        return f"another architecture: {layer} has the shape {theirs} there, here {ours}"
    return describe(error)


MISMATCH = re.compile(
    r"size mismatch for (\S+?)\.lora_\w.*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)", re.DOTALL
)
"""How torch tells of weights that don't fit."""

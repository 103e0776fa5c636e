"""LoRAs on a pipeline: each is applied completely, or refused with the number of misfits.

The library drops what fits nothing with a warning at most, and there are many forms of LoRAs, whose
tensors it renames, splits and joins. So nothing is inferred from names: a copy is loaded first in
which every tensor is filled with a number of its own, and the numbers in the model are counted.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from invdpo.curate.checkpoints.lora import (
    PEFT_PREFIX,
    in_one_spelling,
    is_mixed,
    peft_settings,
)
from invdpo.curate.checkpoints.weights import read_shapes, read_tensors
from invdpo.curate.generators.fit import misfit
from invdpo.curate.generators.specs import LoraSpec, ModelSpec
from invdpo.schemas import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import DENOISERS
from invdpo.schemas.io.text import describe_error

COPY = "invdpo_copy"
"""Name of the adapter that is only counted."""
OTHER, *NUMBERS = ((128 + n % 128) * 2.0 ** (n // 128 - 21) for n in range(30 * 128))
"""Different from each other in every precision: eight bits and an exponent of float16."""
Shapes = Mapping[str, tuple[int, ...]]
DOWN = ("lora_down.weight", "lora_A.weight", "lora.down.weight", "lokr_w2_b", "lokr_w1_b")
"""Ends of the tensors whose first axis is a layer's rank."""


def adapt(pipeline: Any, spec: ModelSpec) -> None:
    """Load the LoRAs of a specification. Raises `ModelError` naming one that doesn't fit."""
    names = [f"lora{number}" for number in range(len(spec.adapters))]
    for name, adapter in zip(names, spec.adapters, strict=True):
        try:
            with quiet_libraries(errors=False), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they are about is counted
                idle, total = _load(pipeline, adapter, name)
        except ModelError:
            raise
        except Exception as error:
            raise misfit(adapter, spec, _misfit(error)) from error
        if idle:
            raise ModelError(
                f"{adapter.path}: {len(idle)} of {total} tensors of this LoRA match nothing in "
                f"{spec.name} (first: {idle[0]}). Give the model that it was trained on."
            )
    if len(names) > 1 or any(adapter.scale != 1 for adapter in spec.adapters):
        pipeline.set_adapters(names, adapter_weights=[a.scale for a in spec.adapters])


def _load(pipeline: Any, adapter: LoraSpec, name: str) -> tuple[list[str], int]:
    """Load one LoRA; the tensors of its file that reach nothing, and how many it has."""
    path = Path(adapter.source.location)
    shapes, settings = read_shapes(path), peft_settings(path)
    weights = read_tensors(path)
    _check_values(adapter, weights)
    scaled = _with_scales(weights)

    def load(weights: Any, name: str) -> None:
        if settings is not None:
            denoisers = (getattr(pipeline, denoiser, None) for denoiser in DENOISERS)
            next(filter(None, denoisers)).load_lora_adapter(
                weights, prefix=PEFT_PREFIX, metadata=dict(settings), adapter_name=name
            )
            return
        if isinstance(weights, dict):
            weights = in_one_spelling(weights)
        pipeline.load_lora_weights(weights, use_safetensors=True, adapter_name=name)

    used = _used(pipeline, shapes, load)
    as_it_is = settings is None and not is_mixed(shapes) and scaled is weights
    load(str(path) if as_it_is else scaled, name)
    stems = {key[:n] for key in used for n, letter in enumerate(key) if letter == "."}
    used |= {key for key in shapes if _is_alpha(key) and key.removesuffix(".alpha") in stems}
    return [key for key in shapes if key not in used], len(shapes)


def _with_scales(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, with the scales alpha/rank in the weights where the layers' alphas differ.

    The library gives layers whose alpha is missing, and some whose alpha is another, the commonest.
    """
    downs = {key.removesuffix(end): key for end in DOWN for key in weights if key.endswith(end)}
    alphas = {stem: weights.get(f"{stem}alpha") for stem in downs}
    if len({None if alpha is None else alpha.item() for alpha in alphas.values()}) < 2:
        return weights
    scaled = {key: weights[key] for key in weights if key.removesuffix("alpha") not in downs}
    for stem, down in downs.items():
        if (alpha := alphas[stem]) is not None:
            scaled[down] = weights[down] * (alpha.item() / len(weights[down]))
    return scaled


def _check_values(adapter: LoraSpec, weights: Mapping[str, Any]) -> None:
    """Raise `ModelError` for numbers that spoil every image, and for scales that are all 0."""
    if wrong := [key for key, tensor in weights.items() if not tensor.float().isfinite().all()]:
        text = f"{len(wrong)} of {len(weights)} tensors of this LoRA hold values that are not"
        raise ModelError(
            f"{adapter.path}: {text} finite (first: {wrong[0]}). Train it again, or give another "
            "LoRA."
        )
    alphas = [tensor for key, tensor in weights.items() if _is_alpha(key)]
    if alphas and not any(tensor.any() for tensor in alphas):
        text = "alpha is 0 in every layer of this LoRA, so it changes nothing"
        raise ModelError(f"{adapter.path}: {text}. Give another LoRA.")


def _used(pipeline: Any, shapes: Shapes, load: Callable[[dict[str, Any], str], None]) -> set[str]:
    """The tensors of a file that get into whole layers of the model."""
    used: set[str] = set()
    keys = [key for key in shapes if not _is_alpha(key)]
    for begin in range(0, len(keys), len(NUMBERS)):
        number_of = dict(zip(keys[begin:], NUMBERS, strict=False))
        known = {*number_of.values(), OTHER}
        load(_copy(shapes, number_of), COPY)
        values: dict[str, list[set[float]]] = {}
        for layer, parameter in _parameters(pipeline, COPY):
            values.setdefault(layer, []).append(_values(parameter) & known)
        # a parameter without any was made up by the library: the file has half of its layer
        whole = set().union(*(set().union(*sets) for sets in values.values() if all(sets)))
        used |= {key for key, number in number_of.items() if number in whole}
        pipeline.delete_adapters(COPY)
    return used


def _copy(shapes: Shapes, number_of: Mapping[str, float]) -> dict[str, Any]:
    import torch

    return {
        key: torch.full(shape, _rank(key, shapes) if _is_alpha(key) else number_of.get(key, OTHER))
        for key, shape in shapes.items()
    }


def _parameters(pipeline: Any, adapter: str) -> Iterator[tuple[str, Any]]:
    """All that an adapter has in the model, each with the layer that it belongs to."""
    import torch

    for component, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module):
            for name, parameter in module.named_parameters():
                part, dot, _ = f"{name}.".partition(f".{adapter}.")
                if dot:
                    yield f"{component}.{part.rpartition('.')[0]}", parameter


def _values(parameter: Any) -> set[float]:
    if parameter.is_meta:
        return set()
    return set(parameter.detach().flatten().float().unique_consecutive().unique().tolist())


def _is_alpha(key: str) -> bool:
    return key.endswith(".alpha")


def _rank(alpha: str, shapes: Shapes) -> float:
    """What makes the scale 1, so that the numbers stay as they are."""
    stem = alpha.removesuffix("alpha")
    for end in DOWN:
        if stem + end in shapes:
            return float(shapes[stem + end][0])
    return 1.0


def _misfit(error: Exception) -> str:
    """Another architecture in words, with the first layer that shows it; else the error."""
    text = str(error)
    if match := MISMATCH.search(text):
        layer, theirs, ours = match.groups()
        return f"another architecture: {layer} has the shape {theirs} there, here {ours}"
    return describe_error(error)


MISMATCH = re.compile(
    r"size mismatch for (\S+?)\.lora_\w.*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)", re.DOTALL
)
"""How torch reports weights that don't fit."""

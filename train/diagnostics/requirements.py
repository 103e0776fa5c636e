"""What a training takes by configurations alone: sizes, work and memory. No weights are needed.

Shapes: C x H x W the latent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.cache.sizes import lacking
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import Pair
from invdpo.train.data.buckets import Size, fit, framing
from invdpo.train.diagnostics.counting import META, count_flops, count_graph_bytes
from invdpo.train.diagnostics.memory import Setting
from invdpo.train.diagnostics.timing import middle_timestep
from invdpo.train.models.base import STATES, Conditioning, ModelAdapter
from invdpo.train.models.components import lacks_weights
from invdpo.train.models.finetuning import add_lora, check_targets
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.models.output_sizes import lora_tensors

LETTERS = 4
"""Of a prompt that make a token, about: a tokenizer may not be there."""


@dataclass(frozen=True)
class Requirements:
    """Exact as counts, but for the length of texts where that varies.

    Graphs are the least that is kept: autocast adds float32 copies around normalisations.
    """

    size: Size
    """(width, height) in pixels of the images of most pairs; all counts are for it."""
    tokens: int
    """Of a prompt, as the denoiser reads it."""
    parameters: dict[str, int]
    """Of each component."""
    lora_parameters: int
    fixed_bytes: dict[str, dict[str, int]]
    """On one device throughout phase two: for either tuning, by what they hold."""
    samples: int
    """In a graph."""
    graph_bytes: int
    """What the graph of one sample keeps for its backward."""
    checkpointed_bytes: int
    """The same with gradient checkpointing; one block's graph comes on top for a moment."""
    forward_flops: int
    """A sample, without a graph."""
    step_flops: int
    """A sample, forward and backward, without what checkpointing computes again."""
    image_flops: int
    """Encoding an image."""
    prompt_flops: int
    """Encoding a prompt: 2 for each parameter and token."""
    pair_bytes: int
    """Of a pair and its prompt in the cache."""
    prompt_bytes: int
    """Those of the prompt among them."""
    phase_one: tuple[dict[str, int], dict[str, int]]
    """Bytes of the weights in memory, by component: while prompts and images are encoded, and then
    along the trajectories. One call's activations come on top."""
    phase_two: int
    """Bytes that stay, and those of the graph."""


def without_weights(adapter: ModelAdapter) -> list[str]:
    """The components that have configurations alone."""
    if not isinstance(adapter, LatentModel):
        return []
    names = (adapter.component, "vae", *adapter.text_encoders)
    return [name for name in names if lacks_weights(adapter.folder / name)]


def count_tokens(pairs: Sequence[Pair]) -> int:
    """Of the prompt of middle length, about."""
    return max(1, round(median(len(pair.prompt) for pair in pairs) / LETTERS))


def require(
    adapter: LatentModel, config: TrainConfig, pairs: Sequence[Pair], samples: int
) -> Requirements:
    """Count all of it for pairs to train on; `config` is resolved, `samples` those of a graph.

    The adapter's device becomes the meta device. Raises `ConfigError` for unknown LoRA targets.
    """
    adapter.device = META
    size = Counter(pair.bucket for pair in pairs).most_common(1)[0][0]
    prompt = adapter.prompt_shapes(count_tokens(pairs))
    denoiser, encoders = adapter.empty_denoiser(), adapter.empty_encoders()
    parts = {adapter.component: denoiser, **encoders}
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    check_targets(denoiser, config.lora_targets)
    moving = {"lora": [*lora_tensors(denoiser, config)], "full": [*denoiser.parameters()]}
    fixed = {name: _fixed_bytes(config, name, counts[adapter.component], moving) for name in moving}
    texts = sum(counts[name] for name in adapter.text_encoders)
    reference = {adapter.component: counts[adapter.component] * adapter.weights_dtype.itemsize}
    encoding = {
        "vae": counts["vae"] * adapter.vae_dtype.itemsize,
        "text encoders": texts * adapter.dtype.itemsize,
    }
    calls = _count_calls(adapter, config, denoiser, size, prompt)
    first = next(pair for pair in pairs if pair.bucket == size)
    pair_bytes, prompt_bytes = count_pair(adapter, config, first, prompt)
    adapter.vae = encoders["vae"]
    image = fit(Image.new("RGB", size), size)
    tokens = prompt[STATES].shape[1]
    graph = calls["checkpointed_bytes" if config.gradient_checkpointing else "graph_bytes"]
    return Requirements(
        size=size,
        tokens=tokens,
        parameters=counts,
        lora_parameters=sum(tensor.numel() for tensor in moving["lora"]),
        fixed_bytes=fixed,
        samples=samples,
        **calls,
        image_flops=count_flops(lambda: adapter.encode_images([image])["latent"], backward=False),
        prompt_flops=2 * tokens * texts,
        pair_bytes=pair_bytes,
        prompt_bytes=prompt_bytes,
        phase_one=(encoding | (reference if config.reference == "start" else {}), reference),
        phase_two=sum(fixed[config.tuning].values()) + samples * graph,
    )


def count_forward(adapter: LatentModel, size: Size, tokens: int) -> int:
    """FLOPs of a sample at a size, without a graph. Afterwards the adapter's device is `META`."""
    adapter.device = META
    prompt, denoiser = adapter.prompt_shapes(tokens), adapter.empty_denoiser()
    nn.Module.to(denoiser, adapter.dtype)
    return count_flops(_call(adapter, denoiser, size, prompt), backward=False)


def _call(
    adapter: LatentModel, denoiser: Any, size: Size, prompt: Conditioning
) -> Callable[[], Tensor]:
    """A call of the denoiser on one sample."""
    dtype = adapter.dtype
    x = torch.empty(1, *adapter.latent_shape(size), device=META, dtype=dtype)
    sizes = adapter.size_conditioning([framing(size, size)])
    conditioning = {
        name: value.to(META, dtype) if value.is_floating_point() else value
        for name, value in (prompt | sizes).items()
    }
    t = middle_timestep(adapter, x)
    t = t.to(dtype) if t.is_floating_point() else t
    return lambda: adapter.predict(denoiser, x, t, conditioning)


def _count_calls(
    adapter: LatentModel, config: TrainConfig, denoiser: Any, size: Size, prompt: Conditioning
) -> dict[str, int]:
    """FLOPs and graphs of one sample. Afterwards the denoiser is prepared for training."""
    nn.Module.to(denoiser, adapter.dtype).requires_grad_(config.tuning == "full")
    call = _call(adapter, denoiser, size, prompt)
    forward = count_flops(call, backward=False)
    if config.tuning == "lora":
        with META:
            add_lora(denoiser, config.model_copy(update={"start_from": None}))
        for parameter in denoiser.parameters():
            parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    step = count_flops(call, backward=True)
    graph = count_graph_bytes(call, denoiser.parameters())
    denoiser.enable_gradient_checkpointing()
    checkpointed = count_graph_bytes(call, denoiser.parameters())
    return {
        "forward_flops": forward,
        "step_flops": step,
        "graph_bytes": graph,
        "checkpointed_bytes": checkpointed,
    }


def _fixed_bytes(
    config: TrainConfig, tuning: str, parameters: int, moving: dict[str, list[Tensor]]
) -> dict[str, int]:
    """Bytes that stay on one device under a tuning, by what they hold."""
    config = config.model_copy(update={"tuning": tuning})
    full, item = tuning == "full", getattr(torch, config.dtype).itemsize
    trained = sum(tensor.numel() for tensor in moving[tuning])
    weights = 4 * parameters if full else item * parameters + 4 * trained
    parts = Setting.of(config, weights, parameters, moving[tuning]).parts()
    if full and config.dtype != "float32":
        parts[f"copies in {config.dtype}"] = item * parameters
    return parts


def count_pair(
    adapter: LatentModel, config: TrainConfig, pair: Pair, prompt: Conditioning
) -> tuple[int, int]:
    """Bytes of a pair and its prompt in an empty cache, and those of the prompt among them."""
    with TemporaryDirectory(prefix="invdpo-") as folder:
        cache = open_cache(Path(folder), adapter, config)
        need = lacking(cache, adapter, config, {"train": [pair]}, prompt)
    text = need.prompt_bytes // 2  # beside it there is the one that guidance leads away from
    return need.bytes - text, text

"""How large training SD 1.5, SDXL and flow models is, from configurations alone; prints Markdown.

    python benchmarks/sizes.py

Networks are built on the meta device, so it runs anywhere in a minute and needs no weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from counting import META, flops, graph_bytes, network
from flow_networks import FLOWS
from networks import SD15, SDXL, Network, trained, vae
from report import table

from invdpo.train.optim.optimizers import OptimizerName, state_bytes

GB = 1e9
OPTIMISERS: tuple[OptimizerName, ...] = ("adamw", "adafactor", "adamw8bit")
SIDES = (512, 1024)
NETWORKS = (SD15, SDXL, *FLOWS)


def main() -> None:
    """Print all tables."""
    head = ("network", "denoiser", "LoRA, rank 16", "VAE", "text encoders")
    print(f"torch {torch.__version__}; millions of parameters:\n")
    print(table(head, (parameters(of) for of in NETWORKS)))
    print("\nTFLOPs of a sample; forward and backward count together in the last two:\n")
    head = ("network", "pixels", "forward", "LoRA", "full")
    print(table(head, (work(of, side) for of in NETWORKS for side in SIDES)))
    print("\nGB that stay through training: LoRA on bfloat16 weights, full in float32:\n")
    columns = ("network", "tuning", "weights", "gradients", *OPTIMISERS)
    kinds = [(of, tuning) for of in NETWORKS for tuning in ("lora", "full")]
    print(table(columns, (state(*kind) for kind in kinds)))
    print("\nGB that a sample's graph keeps, at least (all in bfloat16, attention fused):\n")
    head = ("network", "pixels", "tuning", "kept", "kept with checkpointing")
    print(table(head, (graph(*kind) for kind in kinds)))
    print(
        "\nMB of cache a pair and its prompt, both in float32, texts of flow models in bfloat16:\n"
    )
    head = ("network", "pixels", "points kept (M)", "float32", "float16 or bfloat16")
    print(table(head, cache_rows()))


def parameters(of: Network) -> tuple[str, ...]:
    """Millions, of everything in the pipeline."""
    unet = sum(p.numel() for p in network(of, "full").parameters())
    lora = sum(p.numel() for p in trained(network(of, "lora")))
    if not of.encoders:
        return (of.name, f"{unet / 1e6:,.1f}", f"{lora / 1e6:,.1f}", "–", "–")
    with META:
        image = sum(p.numel() for p in vae().parameters())
        text = sum(p.numel() for i in range(len(of.encoders)) for p in encoder(of, i).parameters())
    return (of.name, *(f"{count / 1e6:,.1f}" for count in (unet, lora, image, text)))


def encoder(of: Network, number: int) -> Any:
    """One of the text encoders; the second projects."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind: Any = CLIPTextModelWithProjection if number else CLIPTextModel
    return kind(CLIPTextConfig(**of.encoders[number]))


def work(of: Network, side: int) -> tuple[str, ...]:
    """TFLOPs a sample."""
    counts = (flops(of, tuning, side) for tuning in ("forward", "lora", "full"))
    return (of.name, str(side), *(f"{count / 1e12:.2f}" for count in counts))


def state(of: Network, tuning: str) -> tuple[str, ...]:
    """GB of weights, gradients and each optimiser's state."""
    unet = network(of, tuning)
    moving = trained(unet)
    count = sum(p.numel() for p in moving)
    frozen = sum(p.numel() for p in unet.parameters()) - count
    sizes = [2 * frozen + 4 * count, 4 * count]
    sizes += [state_bytes(name, moving) for name in OPTIMISERS]
    return (of.name, tuning, *(f"{size / GB:.3f}" for size in sizes))


def graph(of: Network, tuning: str) -> tuple[str, ...]:
    """GB a sample, at the network's own size."""
    kept = (graph_bytes(of, tuning, checkpointing) / GB for checkpointing in (False, True))
    return (of.name, str(of.side), tuning, *(f"{size:.2f}" for size in kept))


def cache_rows() -> Iterator[tuple[str, ...]]:
    """MB for some M and precisions."""
    for of in NETWORKS:
        for side in SIDES:
            for points in (80, 20, 8, 4):
                sizes = (cache_bytes(of, side, points, item) / 1e6 for item in (4, 2))
                yield (of.name, str(side), str(points), *(f"{size:.2f}" for size in sizes))


def cache_bytes(of: Network, side: int, points: int, item: int) -> int:
    """Bytes a pair: two trajectories of x, two errors and a place a point, latents, a prompt.

    With the residuals `implied` and `reference` the targets take as much again as x.
    """
    latent = of.channels * (side // 8) ** 2
    return 2 * (points * (item * latent + 12) + 4 * latent) + of.prompt_bytes


if __name__ == "__main__":
    main()

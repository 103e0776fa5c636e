"""The steps that `released.py` compares, on a small random UNet of SDXL's architecture.

The baseline is written from the description of the released trainer: for each image of a pair,
N inversion calls and N trained calls of the UNet, each a guidance batch of two, all graphs alive
until one backward, the inversion done again in every step. Loss, target and latents are ours
throughout, so only the cost is compared; β is 1, which changes no cost.

Shapes: N inversion steps, M samples, C x H x W the latent.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from invdpo.train.batches import Batch
from invdpo.train.gradient import accumulate, sample_errors
from invdpo.train.inversion import guided, invert
from invdpo.train.models.diffusion import Diffusion
from invdpo.train.objective import OBJECTIVES

OBJECTIVE = OBJECTIVES["inversion-dpo"](1.0)
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
PROCESS = Diffusion((1 - BETAS).cumprod(0))


class World:
    """A UNet, the clean latents of one pair, and a count of calls and of samples in them."""

    def __init__(self, quick: bool) -> None:
        import diffusers

        torch.manual_seed(0)
        wide = (16, 32, 32) if quick else (64, 128, 256)
        self.side, self.calls, self.samples = (8 if quick else 16), 0, 0
        made: Any = diffusers
        self.unet: nn.Module = made.UNet2DConditionModel(
            sample_size=self.side,
            block_out_channels=wide,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            transformer_layers_per_block=(1, 1, 2),
            norm_num_groups=8,
            cross_attention_dim=64,
            attention_head_dim=(2, 4, 8),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        )
        self.latent = torch.randn(2, 4, self.side, self.side)
        self.text, self.pooled = torch.randn(1, 77, 64), torch.randn(1, 32)

    def __call__(self, x: Tensor, t: Tensor, told: object = None) -> Tensor:
        """Noise of samples (M, C, H, W) at timesteps (M,)."""
        n = len(x)
        self.calls, self.samples = self.calls + 1, self.samples + n
        size = {"text_embeds": self.pooled.expand(n, -1), "time_ids": torch.ones(n, 6)}
        text = self.text.expand(n, -1, -1)
        made: Tensor = self.unet(x, t, text, added_cond_kwargs=size, return_dict=False)[0]
        return made

    def noise(self, x: Tensor, t: float, scale: float) -> Tensor:
        """Noise at one timestep: a call with M samples, or with twice as many when guided."""
        if scale == 1:
            return self(x, torch.full((len(x),), t))
        empty, full = self(torch.cat([x, x]), torch.full((2 * len(x),), t)).chunk(2)
        return guided(full, empty, scale)


def released(world: World, steps: int, scale: float) -> None:
    """One step of the baseline."""
    grid, score = PROCESS.grid(steps, ()), torch.zeros(())
    for sign, latent in zip((-1, 1), world.latent[:, None], strict=True):
        points = []
        with torch.no_grad():
            x, levels = latent, grid.levels.tolist()
            for i, t in enumerate(grid.timesteps.tolist()[:-1]):
                noise = world.noise(x, t, scale)
                x = PROCESS.step(x, noise, levels[i], levels[i + 1])
                points.append((x, noise))
        for (x, noise), t in zip(points, grid.timesteps[1:].tolist(), strict=True):
            error = (world.noise(x, t, scale) - noise).pow(2).mean()
            score = score + sign * error / (2 * steps)
    torch.autograd.backward(torch.nn.functional.softplus(-score))


def trajectories(world: World, steps: int, scale: float = 1.0) -> Batch:
    """Inversion of both sides in one batch: the points that our cache would hold."""
    grid = PROCESS.grid(steps, ())

    def predict(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        noise = world.noise(x, t, scale)
        return noise, noise

    points = list(invert(predict, PROCESS, world.latent, grid))
    x, target, own = (
        torch.stack([getattr(p, name) for p in points], 1)[None]
        for name in ("x", "implied", "reference")
    )
    return Batch(
        x=x,
        target=target,
        timesteps=grid.timesteps[None, 1:],
        weight=torch.ones(1, steps),
        reference_error=(own - target).pow(2).mean((-3, -2, -1)),
        conditioning={},
    )


def some(batch: Batch, points: int) -> Batch:
    """K evenly spaced points of a batch."""
    k = torch.arange(points) * batch.x.shape[2] // points
    return Batch(
        x=batch.x[:, :, k],
        target=batch.target[:, :, k],
        timesteps=batch.timesteps[:, k],
        weight=batch.weight[:, k],
        reference_error=batch.reference_error[:, :, k],
        conditioning={},
    )


def ours(world: World, batch: Batch) -> None:
    """One warm-cache step on a batch of points, two samples a graph."""
    accumulate(world, batch, OBJECTIVE, list(world.unet.parameters()), 2, 1.0)


def difference(steps: int, quick: bool) -> float:
    """Relative difference of the exact mode's gradient and plain autograd's, all graphs alive."""
    world = World(quick)
    batch, parameters = trajectories(world, steps), list(world.unet.parameters())
    error = sample_errors(world, batch, 0, 2 * steps).view(1, 2, steps)
    score = OBJECTIVE.score(error, batch.reference_error, batch.weight)
    loss = OBJECTIVE.loss(score).mean()
    full = torch.autograd.grad(loss, parameters, allow_unused=True)
    ours(world, batch)
    pairs = [(p.grad, g) for p, g in zip(parameters, full, strict=True) if g is not None]
    apart = sum((a - b).double().pow(2).sum() for a, b in pairs if a is not None)
    size = sum(b.double().pow(2).sum() for _, b in pairs)
    return float((apart / size) ** 0.5)

"""The noise predictor: a small UNet2DConditionModel on 8×8 latents.

Legend: B batch, C latent channels, h = w = 8, T tokens, D text width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

from embedded import text, vae
from embedded.fast import float_attention, float_norms

DROPPED = 0.1
"""Share of captions replaced by the empty one, for guidance."""
GAMMA = 5.0
"""Of the min-SNR weighting (arXiv 2303.09556)."""
RATE = 1e-3
BATCH = 64


def build() -> UNet2DConditionModel:
    """Two levels, 8×8 and 4×4, both with cross-attention."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=vae.CHANNELS,
        out_channels=vae.CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(64, 96),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=text.WIDTH,
        attention_head_dim=4,
    )


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, sampled as DDIM."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )


def loss_of(
    unet: Callable[..., torch.Tensor],
    x: torch.Tensor,
    context: torch.Tensor,
    noise: torch.Tensor,
    t: torch.Tensor,
    alphas: torch.Tensor,
) -> torch.Tensor:
    """Min-SNR weighted error of the predicted noise: B. x, noise B×C×h×w, context B×T×D, t B."""
    a = alphas[t].view(-1, 1, 1, 1)
    noised = (a.sqrt() * x + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16), float_attention():
        predicted = unet(noised, t, context)
    snr = alphas[t] / (1 - alphas[t])
    error = (predicted.float() - noise).pow(2).mean(dim=(1, 2, 3))
    return error * snr.clamp(max=GAMMA) / snr


class Average:
    """Exponential moving average of a model's weights, with a warm start."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay, self.step = decay, 0
        self.weights = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Take one step towards the model."""
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.weights, list(model.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: torch.nn.Module) -> None:
        """Write the average into another model of the same kind."""
        for target, source in zip(model.parameters(), self.weights, strict=True):
            target.copy_(source)


def rate_at(done: float, step: int) -> float:
    """Warm-up over 300 steps, then a cosine over the share of time that has passed, 0..1."""
    return RATE * min(1, (step + 1) / 300) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def train(
    latents: torch.Tensor,
    contexts: torch.Tensor,
    empty: torch.Tensor,
    *,
    seconds: float,
    seed: int,
    folder: Path,
    every: float,
    inspect: Callable[[UNet2DConditionModel, int], None],
) -> UNet2DConditionModel:
    """Train for a fixed time and return the averaged model; `inspect` sees it `every` seconds.

    latents N×C×h×w, contexts N×T×D, empty T×D. The time that `inspect` takes counts.
    """
    torch.manual_seed(seed)
    unet, averaged = build(), build()
    unet.to(memory_format=torch.channels_last)
    averaged.to(memory_format=torch.channels_last)
    float_norms(unet)
    average = Average(unet, 0.9995)
    alphas = scheduler().alphas_cumprod
    optimiser = torch.optim.AdamW(
        unet.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    forward = lambda x, t, c: unet(x, t, c, return_dict=False)[0]  # noqa: E731
    begin = shown = time.monotonic()
    step, total = 0, 0.0
    while (done := (time.monotonic() - begin) / seconds) < 1:
        optimiser.param_groups[0]["lr"] = rate_at(done, step)
        batch = torch.randint(len(latents), (BATCH,))
        context = contexts[batch].clone()
        context[torch.rand(BATCH) < DROPPED] = empty
        noise, t = torch.randn_like(latents[batch]), torch.randint(1000, (BATCH,))
        loss = loss_of(forward, latents[batch], context, noise, t, alphas).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        average.update(unet)
        step, total = step + 1, total + loss.item()
        if step % 250 == 0:
            print(f"unet step {step} {done:.0%} loss {total / 250:.4f}", flush=True)
            total = 0.0
        if time.monotonic() - shown > every:
            average.copy_to(averaged)
            save_file(
                {k: v.contiguous() for k, v in unet.state_dict().items()},
                folder / "unet-last.safetensors",
            )
            inspect(averaged, step)
            shown = time.monotonic()
    average.copy_to(averaged)
    return averaged


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel,
    context: torch.Tensor,
    empty: torch.Tensor,
    *,
    seed: int,
    steps: int = 20,
    guidance: float = 4.0,
) -> torch.Tensor:
    """Latents for a batch of prompts by DDIM: context B×T×D, empty T×D; returns B×C×h×w."""
    maker = scheduler()
    maker.set_timesteps(steps)
    x = torch.randn(len(context), vae.CHANNELS, 8, 8, generator=torch.Generator().manual_seed(seed))
    both = torch.cat([empty.expand_as(context), context]).float()
    for t in maker.timesteps:
        with torch.autocast("cpu", torch.bfloat16):
            without, given = unet(torch.cat([x, x]), t, both, return_dict=False)[0].chunk(2)
        noise = without.float() + guidance * (given.float() - without.float())
        x = maker.step(noise, t, x).prev_sample
    return x

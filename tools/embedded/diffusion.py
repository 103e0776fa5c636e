"""The noise predictor: a small UNet2DConditionModel on 8×8 latents.

Legend: B batch, C latent channels, h = w = 8, T tokens, D text width.
"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from embedded import text, vae
from embedded.fast import autocast, float_attention

GAMMA = 5.0
"""Of the min-SNR weighting (arXiv 2303.09556)."""


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
    unet: UNet2DConditionModel,
    x: torch.Tensor,
    context: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Min-SNR weighted error of the predicted noise: B. x, noise B×C×h×w, context B×T×D."""
    alphas, t = scheduler().alphas_cumprod, torch.randint(1000, (len(x),))
    a = alphas[t].view(-1, 1, 1, 1)
    noised = (a.sqrt() * x + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
    with autocast(), float_attention():
        predicted = unet(noised, t, context.float(), return_dict=False)[0]
    snr = alphas[t] / (1 - alphas[t])
    error = (predicted.float() - noise).pow(2).mean(dim=(1, 2, 3))
    return error * snr.clamp(max=GAMMA) / snr


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
        with autocast():
            without, given = unet(torch.cat([x, x]), t, both, return_dict=False)[0].chunk(2)
        noise = without.float() + guidance * (given.float() - without.float())
        x = maker.step(noise, t, x).prev_sample
    return x

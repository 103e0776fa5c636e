"""The velocity predictor: a small SD3Transformer2DModel on 8×8 latents, trained by rectified flow.

Without T5 the pipeline fills its place with `max_sequence_length` tokens of zeros, 256 by default.
They are all alike, so one of them whose attention logit is raised by log 256 counts as much: the
model learns on that one token to be right with one and with 256.

Legend: B batch, C latent channels, h = w = 8, T tokens, D text width, P pooled width.
"""

from __future__ import annotations

import math

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel

from embedded import flow_text, vae
from embedded.fast import autocast, float_attention

SHIFT = 1.0
"""Of the sampler's noise levels; images this small need no more time at high noise."""


ZERO_TOKENS = (1, 256)
"""How many tokens of zeros may stand for T5."""


def build() -> SD3Transformer2DModel:
    """Four blocks of width 128; a token is a square of 2 by 2 positions of the latent."""
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=vae.CHANNELS,
        out_channels=vae.CHANNELS,
        num_layers=4,
        num_attention_heads=4,
        attention_head_dim=32,
        caption_projection_dim=128,
        joint_attention_dim=flow_text.WIDTH,
        pooled_projection_dim=flow_text.WIDTH,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
    )


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Euler steps from noise to data."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT)


def loss_of(
    model: SD3Transformer2DModel,
    x: torch.Tensor,
    context: torch.Tensor,
    pooled: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Error of the velocity at noise levels of a logit-normal law (arXiv 2403.03206): B.

    x, noise B×C×h×w, context B×T×D, pooled B×P.
    """
    sigma, zeros = torch.randn(len(x)).sigmoid(), ZERO_TOKENS[int(torch.randint(2, ()))]
    level = sigma.view(-1, 1, 1, 1)
    noised = (1 - level) * x + level * noise
    with autocast(), float_attention(zeros_counted(model, context, zeros)):
        states = context.float(), pooled.float()
        predicted = model(noised, *states, 1000 * sigma, return_dict=False)[0]
    return (predicted.float() - (noise - x)).pow(2).mean(dim=(1, 2, 3))


def zeros_counted(model: SD3Transformer2DModel, context: torch.Tensor, count: int) -> torch.Tensor:
    """What makes the last text token count as often: to add to the logits of all its keys."""
    tokens = (model.config.sample_size // model.config.patch_size) ** 2 + context.shape[1]
    bias = torch.zeros(1, 1, 1, tokens)
    bias[..., -1] = math.log(count)
    return bias


@torch.no_grad()
def sample(
    model: SD3Transformer2DModel,
    given: tuple[torch.Tensor, ...],
    empty: tuple[torch.Tensor, ...],
    *,
    seed: int,
    steps: int = 20,
    guidance: float = 4.0,
) -> torch.Tensor:
    """Latents B×C×h×w by Euler steps, context and pooled states given for B prompts."""
    maker, count = scheduler(), len(given[0])
    maker.set_timesteps(steps)
    x = torch.randn(count, vae.CHANNELS, 8, 8, generator=torch.Generator().manual_seed(seed))
    both = [torch.cat([e.expand_as(g), g]).float() for g, e in zip(given, empty, strict=True)]
    for t in maker.timesteps:
        with autocast():
            out = model(torch.cat([x, x]), *both, t.expand(2 * count), return_dict=False)[0]
        without, full = out.float().chunk(2)
        x = maker.step(without + guidance * (full - without), t, x).prev_sample
    return x

"""The autoencoder: 64×64 images to 8×8 latents and back.

Legend: B batch, H = W = 64 pixels, C latent channels, h = w = 8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from embedded.fast import autocast, float_norms
from embedded.steps import Progress, cosine

CHANNELS = 6
RATE = 2e-3
KL_WEIGHT = 2e-4
OBJECT_WEIGHT = 3.0
"""How much more a saturated pixel counts: the ground fills most of every image."""


def build() -> AutoencoderKL:
    """A narrow AutoencoderKL, since at 64×64 every channel costs."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=64,
    ).to(memory_format=torch.channels_last)


def to_tensor(images: torch.Tensor) -> torch.Tensor:
    """B×H×W×3 uint8 to B×3×H×W in -1..1."""
    return images.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_images(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """B×3×H×W in -1..1 to B×H×W×3 uint8, rounded as diffusers does."""
    scaled = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).mul(255).round()
    images: NDArray[np.uint8] = scaled.to(torch.uint8).numpy()
    return images


def loss_of(vae: AutoencoderKL, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Error of pixels and of their differences, and a little KL; per batch.

    The squares are needed: under absolute errors alone shapes are learnt long before colours.
    """
    with autocast():
        moments = vae.encode(x).latent_dist
        mean, logvar = moments.mean.float(), moments.logvar.float()
        y = vae.decode(mean + noise * torch.exp(0.5 * logvar)).sample
    error = y.float() - x
    weight = 1 + OBJECT_WEIGHT * (x.amax(1, keepdim=True) - x.amin(1, keepdim=True) > 0.3)
    pixels = (weight * (error.abs() + 4 * error**2)).mean()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    return pixels + edges + KL_WEIGHT * kl


def train(
    images: torch.Tensor, *, steps: int, seed: int, folder: Path, batch: int = 16
) -> AutoencoderKL:
    """Train with a cosine rate on N×H×W×3 uint8; keeps a checkpoint in the folder."""
    torch.manual_seed(seed)
    vae = build()
    float_norms(vae)
    optimiser = torch.optim.AdamW(
        vae.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
    )
    progress = Progress("vae", steps)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * cosine(step, steps, warm_up=100)
        x = to_tensor(images[torch.randint(len(images), (batch,))])
        x = x.contiguous(memory_format=torch.channels_last)
        loss = loss_of(vae, x, torch.randn(batch, CHANNELS, 8, 8))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        progress.show(step, loss)
        if (step + 1) % 200 == 0:
            vae.save_pretrained(folder)
    vae.save_pretrained(folder)
    return vae.eval()


@torch.no_grad()
def encode(vae: AutoencoderKL, images: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """The latents' modes, unscaled: N×C×h×w, of N×H×W×3 uint8."""
    vae.to(memory_format=torch.channels_last)
    parts = [
        vae.encode(to_tensor(images[n : n + batch])).latent_dist.mode()
        for n in range(0, len(images), batch)
    ]
    return torch.cat(parts).contiguous()


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor, batch: int = 64) -> NDArray[np.uint8]:
    """Unscaled latents back to images, N×H×W×3."""
    parts = [vae.decode(part).sample for part in latents.split(batch)]
    return to_images(torch.cat(parts))

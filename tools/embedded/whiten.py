"""Folds the latents' mean and spread into the autoencoder, so that they need no scaling.

Stable Diffusion has one factor for all latent channels and no shift; channels of unequal spread
would then see different noise levels. Both convolutions around the latent are 1×1, so the change
is exact.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL


@torch.no_grad()
def whiten(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Give every channel mean 0 and spread 1; latents N×C×h×w before, returned after."""
    mean, spread = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    channels = len(mean)
    into, out = vae.quant_conv, vae.post_quant_conv
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= spread[None, :, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / spread
    into.weight[:channels] /= spread[:, None, None, None]
    into.bias[channels:] -= 2 * spread.log()
    vae.register_to_config(scaling_factor=1.0)
    return (latents - mean[:, None, None]) / spread[:, None, None]

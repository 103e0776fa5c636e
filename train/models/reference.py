"""The frozen denoiser on B latents at one timestep, guided or not.

Shapes: B latents, C x H x W the latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invdpo.train.inversion import guided
from invdpo.train.models import Conditioning, ModelAdapter
from invdpo.train.models.base import MASK


class Reference:
    """What inversion follows, and the reference's own prediction; see `inversion.Predict`.

    Both halves of guidance go into one call when `samples` allows 2B of them, texts of one length.
    """

    def __init__(
        self,
        adapter: ModelAdapter,
        conditioning: Conditioning,
        empty: Conditioning | None = None,
        scale: float = 1.0,
        samples: int = 1,
    ) -> None:
        """`empty` is the conditioning of the empty prompt, B times; None without guidance."""
        self.adapter, self.scale, self.samples = adapter, scale, samples
        self.conditioning = {name: value.to(adapter.device) for name, value in conditioning.items()}
        self.empty = empty and {name: value.to(adapter.device) for name, value in empty.items()}
        self.forwards = 0
        """UNet sample-forwards so far."""

    def __call__(self, x: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """Predictions at x (B, C, H, W): guided, and the conditional one alone."""
        full, empty = self.conditioning, self.empty
        if not empty:
            conditional = self._predict(x, timestep, full)
            return conditional, conditional
        # texts of unequal length stay apart: padding would round half precision otherwise
        if 2 * len(x) <= self.samples and MASK not in full:
            both = {name: torch.cat([value, empty[name]]) for name, value in full.items()}
            noise = self._predict(torch.cat([x, x]), timestep, both)
            conditional, unconditional = noise.chunk(2)
        else:
            conditional, unconditional = (self._predict(x, timestep, c) for c in (full, empty))
        return guided(conditional, unconditional, self.scale), conditional

    def unguided(self, x: Tensor, timestep: float, rows: Tensor) -> Tensor:
        """Conditional prediction at other latents x (R, C, H, W) of the images in `rows` (R,)."""
        rows = rows.to(self.adapter.device)
        conditioning = {name: value[rows] for name, value in self.conditioning.items()}
        return self._predict(x, timestep, conditioning)

    def _predict(self, x: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        self.forwards += len(x)
        steps = torch.full((len(x),), timestep, device=x.device)
        return self.adapter.predict(self.adapter.denoiser, x, steps, conditioning)

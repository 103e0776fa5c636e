"""The frozen denoiser asked about B latents at one timestep, guided or not.

Shapes: B latents, C x H x W the latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invdpo.train.inversion import guided
from invdpo.train.models import Conditioning, ModelAdapter


class Reference:
    """What inversion follows, and the reference's own noise; see `inversion.Predict`.

    Both halves of guidance go into one call when `samples` allows 2B of them.
    """

    def __init__(
        self,
        adapter: ModelAdapter,
        told: Conditioning,
        blank: Conditioning | None = None,
        scale: float = 1.0,
        samples: int = 1,
    ) -> None:
        """`blank` is the conditioning of the empty prompt, B times; none without guidance."""
        self.adapter, self.scale, self.samples = adapter, scale, samples
        self.told = {name: value.to(adapter.device) for name, value in told.items()}
        self.blank = blank and {name: value.to(adapter.device) for name, value in blank.items()}
        self.forwards = 0
        """UNet sample-forwards so far."""

    def __call__(self, x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """Noise in x (B, C, H, W): guided, and the conditional one alone."""
        blank = self.blank
        if not blank:
            own = self._ask(x, timestep, self.told)
            return own, own
        if 2 * len(x) <= self.samples:
            both = {name: torch.cat([value, blank[name]]) for name, value in self.told.items()}
            own, without = self._ask(torch.cat([x, x]), timestep, both).chunk(2)
        else:
            own, without = (self._ask(x, timestep, told) for told in (self.told, blank))
        return guided(own, without, self.scale), own

    def own(self, x: Tensor, timestep: int, rows: Tensor) -> Tensor:
        """Conditional noise in x (R, C, H, W), other latents of the pictures in `rows` (R,)."""
        rows = rows.to(self.adapter.device)
        return self._ask(x, timestep, {name: value[rows] for name, value in self.told.items()})

    def _ask(self, x: Tensor, timestep: int, told: Conditioning) -> Tensor:
        self.forwards += len(x)
        steps = torch.full((len(x),), timestep, device=x.device)
        return self.adapter.predict(self.adapter.unet, x, steps, told)

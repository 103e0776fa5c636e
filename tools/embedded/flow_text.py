"""The flow pipeline's two text encoders, as Stable Diffusion 3 has them, taught as `text` is.

What the denoiser sees of each are the states before its last layer, side by side, and the
projections of its end token. Legend: B batch, N captions, T = `LENGTH` tokens, S slots.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from embedded import text

WIDTHS = (96, 32)
WIDTH = sum(WIDTHS)
LAYERS = (4, 2)


class Output(NamedTuple):
    """What both encoders say of B captions."""

    last_hidden_state: torch.Tensor
    """B×T×WIDTH."""
    pooled: torch.Tensor
    """B×WIDTH."""


class Encoders(torch.nn.Module):
    """Both, read as one."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.each = torch.nn.ModuleList(
            CLIPTextModelWithProjection(text.configure(tokenizer, width, layers))
            for width, layers in zip(WIDTHS, LAYERS, strict=True)
        )

    def forward(self, ids: torch.Tensor) -> Output:
        """B×T token ids."""
        outputs = [encoder(ids, output_hidden_states=True) for encoder in self.each]
        states = torch.cat([o.hidden_states[-2] for o in outputs], -1)
        return Output(states, torch.cat([o.text_embeds for o in outputs], -1))

    @torch.no_grad()
    def embed(self, ids: torch.Tensor, batch: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
        """N×(T+1)×WIDTH and N×WIDTH, bfloat16 to save memory.

        The last token is zeros: where the T5 of a larger model would speak.
        """
        outputs = [self(part) for part in ids.split(batch)]
        states = torch.cat([o.last_hidden_state.bfloat16() for o in outputs])
        pooled = torch.cat([o.pooled.bfloat16() for o in outputs])
        return torch.cat([states, torch.zeros_like(states[:, :1])], 1), pooled


class Reader(text.Reader):
    """Reads the slots off their tokens, and all of them off the pooled state as well."""

    def __init__(self) -> None:
        super().__init__(WIDTH)
        self.pooled = torch.nn.Linear(WIDTH, text.SLOTS * sum(self.sizes))

    def loss(self, output: Output, target: torch.Tensor) -> torch.Tensor:
        """Mean loss over a batch; target B×S×4."""
        slots = self.pooled(output.pooled).unflatten(-1, (text.SLOTS, -1))
        return super().loss(output, target) + self.loss_of_slots(slots, target)

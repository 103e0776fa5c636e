"""The text encoder: a small CLIPTextModel, first taught what a prompt asks for and where.

It is trained alone, by reading off its last padding tokens, which object each mention is and
where scenes put it; then it is frozen, as Stable Diffusion's is. The reading heads are thrown
away. Legend: B batch, T = `LENGTH` tokens, D width, S = 3 slots (objects in order of mention).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from embedded.steps import Progress
from embedded.words import LENGTH
from invdpo.curate.shapes.layout import PlacedObject
from invdpo.curate.shapes.world import COLOURS, SHAPES

WIDTH = 96
RATE = 1.5e-3
SLOTS = 3


def build(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Three layers of width 96."""
    return CLIPTextModel(configure(tokenizer, WIDTH, layers=3))


def configure(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextConfig:
    """A small CLIP's text encoder, for this tokenizer."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tokens(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> torch.Tensor:
    """B×T token ids, padded."""
    ids: torch.Tensor = tokenizer(
        list(captions),
        padding="max_length",
        max_length=LENGTH,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


def targets(places: Sequence[tuple[PlacedObject, ...]]) -> torch.Tensor:
    """B×S×4: colour and shape (0 for an empty slot), x, y in -1..1."""
    colour = {name: n for n, name in enumerate(COLOURS, start=1)}
    shape = {name: n for n, name in enumerate(SHAPES, start=1)}
    rows = [
        [(colour[p.colour], shape[p.shape], 2 * p.x - 1, 2 * p.y - 1) for p in scene]
        + [(0, 0, 0.0, 0.0)] * (SLOTS - len(scene))
        for scene in places
    ]
    return torch.tensor(rows)


class Reader(torch.nn.Module):
    """Reads each slot's colour, shape and place off the token that belongs to it."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.sizes = [len(COLOURS) + 1, len(SHAPES) + 1, 2]
        self.head = torch.nn.Linear(width, sum(self.sizes))

    def loss(self, output: Any, target: torch.Tensor) -> torch.Tensor:
        """Mean loss over a batch; `output` is the encoder's, with hidden states B×T×D."""
        return self.loss_of_slots(self.head(output.last_hidden_state[:, -SLOTS:]), target)

    def loss_of_slots(self, slots: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss of what was read, B×S×sum(sizes), against target B×S×4."""
        colour, shape, place = slots.split(self.sizes, dim=-1)
        there = (target[..., 0] > 0).float()
        error = ((place - target[..., 2:]) ** 2).sum(-1)
        return (
            F.cross_entropy(colour.flatten(0, 1), target[..., 0].long().flatten())
            + F.cross_entropy(shape.flatten(0, 1), target[..., 1].long().flatten())
            + 2 * (error * there).sum() / there.sum()
        )


def train(
    model: torch.nn.Module,
    ids: torch.Tensor,
    target: torch.Tensor,
    *,
    steps: int,
    seed: int,
    make_reader: Callable[[], Reader] = Reader,
) -> None:
    """Train encoder and reader with a linearly falling rate; ids N×T, target N×S×4."""
    torch.manual_seed(seed)
    reader = make_reader()
    weights = [*model.parameters(), *reader.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    progress = Progress("text", steps)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 200) * (1.02 - step / steps)
        batch = torch.randint(len(ids), (128,))
        loss = reader.loss(model(ids[batch]), target[batch])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        progress.show(step, loss)


@torch.no_grad()
def embed(model: CLIPTextModel, ids: torch.Tensor, batch: int = 512) -> torch.Tensor:
    """Last hidden states, N×T×D, bfloat16 to save memory."""
    parts = [model(part).last_hidden_state.bfloat16() for part in ids.split(batch)]
    return torch.cat(parts)

"""A small CLIP of the embedded world, in open_clip's form, trained with hard negatives.

Legend: B batch, K wrong captions for each image, T tokens, E embedding width.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import CLIPTokenizer

from embedded import data, negatives, text
from embedded.fast import autocast, float_attention
from embedded.steps import Progress, cosine
from embedded.vae import to_tensor
from embedded.words import LENGTH
from invdpo.curate.shapes import world
from invdpo.schemas import SceneGraph

RATE = 1e-3
WRONG = 2
"""K: wrong captions for each image of a batch."""
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}


def config(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    """open_clip's model configuration."""
    return {
        "embed_dim": 96,
        "vision_cfg": {
            "image_size": 64,
            "layers": 4,
            "width": 96,
            "patch_size": 8,
            "head_width": 24,
        },
        "text_cfg": {
            "context_length": LENGTH,
            "vocab_size": len(tokenizer),
            "width": 96,
            "heads": 4,
            "layers": 3,
            "pool_type": "eos",
            "eos_id": tokenizer.eos_token_id,
            "pad_id": tokenizer.pad_token_id,
            "hf_tokenizer_name": ".",
        },
    }


def graphs_of(tokenizer: CLIPTokenizer, ids: torch.Tensor) -> list[SceneGraph]:
    """Read the scene graphs back from N×T tokens."""
    captions = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [world.parse(caption) or SceneGraph() for caption in captions]


def wrong_ids(tokenizer: CLIPTokenizer, graphs: list[SceneGraph], seed: int) -> torch.Tensor:
    """Tokens of K wrong captions for each graph: N×K×T."""
    rng = np.random.default_rng(seed)
    texts = [negatives.any_negative(graph, rng) for graph in graphs for _ in range(WRONG)]
    return text.tokens(tokenizer, texts).unflatten(0, (-1, WRONG))


def loss_of(
    model: open_clip.CLIP, images: torch.Tensor, ids: torch.Tensor, wrong: torch.Tensor
) -> torch.Tensor:
    """Contrastive loss; each image must also tell its caption from K wrong ones.

    images B×3×H×W in -1..1, ids B×T, wrong B×K×T.
    """
    with autocast(), float_attention():
        picture = model.encode_image(images, normalize=True).float()
        words = model.encode_text(torch.cat([ids, wrong.flatten(0, 1)]), normalize=True).float()
    scale = model.logit_scale.exp().clamp(max=100)
    right, other = words[: len(ids)], words[len(ids) :].unflatten(0, (-1, WRONG))
    logits = scale * picture @ right.T
    same = (ids[:, None] == ids[None]).all(-1) & ~torch.eye(len(ids), dtype=torch.bool)
    logits = logits.masked_fill(same, -math.inf)
    hard = scale * torch.einsum("be,bke->bk", picture, other)
    target = torch.arange(len(ids))
    by_picture = F.cross_entropy(torch.cat([logits, hard], dim=1), target)
    return (by_picture + F.cross_entropy(logits.T, target)) / 2


def train(
    tokenizer: CLIPTokenizer,
    images: torch.Tensor,
    ids: torch.Tensor,
    *,
    steps: int,
    seed: int,
    batch: int = 96,
) -> open_clip.CLIP:
    """Train with a cosine rate; images N×H×W×3 uint8, ids N×T."""
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config(tokenizer))
    wrong = wrong_ids(tokenizer, graphs_of(tokenizer, ids), seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )
    progress = Progress("clip", steps)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * cosine(step, steps, warm_up=200)
        rows = torch.randint(len(ids), (batch,))
        loss = loss_of(model, to_tensor(images[rows]), ids[rows], wrong[rows])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        progress.show(step, loss)
    return model.eval()


@torch.no_grad()
def accuracy(
    model: open_clip.CLIP, tokenizer: CLIPTokenizer, change: negatives.Change, seed: int
) -> tuple[float, int]:
    """How often the right caption of a held-out scene beats one made wrong by `change`; and n."""
    scenes = data.make("heldout", 1000, seed)
    rng = np.random.default_rng(seed)
    wrong = [negatives.negative(graph, change, rng) for graph in scenes.graphs]
    kept = [n for n, caption in enumerate(wrong) if caption is not None]
    picture = model.encode_image(to_tensor(torch.from_numpy(scenes.images[kept])), normalize=True)
    right, other = (
        model.encode_text(text.tokens(tokenizer, captions), normalize=True)
        for captions in ([scenes.captions[n] for n in kept], [str(wrong[n]) for n in kept])
    )
    better = (picture * right).sum(-1) > (picture * other).sum(-1)
    return float(better.float().mean()), len(kept)


def export(folder: Path, model: open_clip.CLIP, tokenizer: CLIPTokenizer) -> None:
    """An open_clip folder in half precision, with its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    content = {"model_cfg": config(tokenizer), "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(content, indent=2) + "\n")
    tokenizer.save_pretrained(folder)

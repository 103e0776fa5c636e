"""Small models of random weights in the forms in which the published ones are released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.curate.scorers.released_blip import save
from tests.curate.tiny import save_tokenizer

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}


def clip(folder: Path) -> Path:
    """An open_clip folder as `clip_model` takes it."""
    from open_clip import CLIP as Network
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = Network(**CLIP)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    text = json.dumps({"model_cfg": CLIP, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text)
    return folder


def pickscore(folder: Path) -> Path:
    """A CLIP with its processor, as transformers saves them."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder / "vocabulary")
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    text = {
        **size,
        "num_attention_heads": 2,
        "vocab_size": 64,
        "max_position_embeddings": 24,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {**size, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    network: Any = CLIPModel(config)
    network.save_pretrained(folder / "model")
    square = {"height": 32, "width": 32}
    pictures: Any = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)
    processor: Any = CLIPProcessor(pictures, tokenizer)
    processor.save_pretrained(folder / "model")
    return folder / "model"


def hpsv2(folder: Path) -> Path:
    """A checkpoint as it was released, of an architecture that open_clip calls `tiny-hps`."""
    import open_clip

    torch.manual_seed(1)
    (folder / "tiny-hps.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(folder / "tiny-hps.json")
    network: Any = open_clip.create_model("tiny-hps")
    torch.save({"state_dict": network.state_dict()}, folder / "hps.pt")
    return folder / "hps.pt"


def head(folder: Path) -> tuple[Path, nn.Sequential]:
    """LAION's layers as they were released, on 16 numbers instead of 768, and as a module."""
    torch.manual_seed(2)
    layers = nn.Sequential(
        nn.Linear(16, 32),
        nn.Dropout(0.2),
        nn.Linear(32, 8),
        nn.Dropout(0.2),
        nn.Linear(8, 8),
        nn.Dropout(0.1),
        nn.Linear(8, 4),
        nn.Linear(4, 1),
    )
    path = folder / "head.pth"
    torch.save({f"layers.{name}": value for name, value in layers.state_dict().items()}, path)
    return path, layers.eval()


def imagereward(folder: Path) -> Path:
    """The released files, and a tokenizer of BERT's kind that knows few words."""
    from transformers import BertTokenizer

    save(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "cat", "picture", "of"]
    (folder / "vocab.txt").write_text("\n".join(words + [f"w{n}" for n in range(56)]))
    tokenizer: Any = BertTokenizer(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder

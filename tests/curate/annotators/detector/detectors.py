"""Detectors of the true architectures, small and of random weights, in folders as on the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    "?",
    "a",
    "red",
    "blue",
    "car",
    "dog",
    "cat",
    "bench",
]
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def save_owl(folder: Path, kind: str = "Owlv2") -> Path:
    """OWL-ViT or OWLv2: 16 patches of an image of 32×32."""
    import transformers

    parts: Any = transformers
    torch.manual_seed(0)
    config = getattr(parts, f"{kind}Config")(
        text_config={
            **SMALL,
            "vocab_size": 64,
            "max_position_embeddings": 16,
            "eos_token_id": 2,
            "bos_token_id": 1,
            "pad_token_id": 0,
        },
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    network = getattr(parts, f"{kind}ForObjectDetection")(config)
    _randomize(network)
    network.save_pretrained(folder)
    square = {"height": 32, "width": 32}
    images = getattr(parts, f"{kind}ImageProcessor")(size=square)
    getattr(parts, f"{kind}Processor")(images, _letter_tokenizer(folder)).save_pretrained(folder)
    return folder


def save_dino(folder: Path) -> Path:
    """Grounding DINO on a Swin and a BERT: 24 boxes, images with sides of 128 to 192."""
    from transformers import (
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
    )

    torch.manual_seed(0)
    swin = {
        "model_type": "swin",
        "image_size": 64,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1] * 4,
        "num_heads": [1] * 4,
        "window_size": 2,
        "out_features": ["stage2", "stage3", "stage4"],
    }
    bert = {"model_type": "bert", "vocab_size": len(WORDS), **SMALL}
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        num_queries=24,
        max_text_len=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        encoder_n_points=2,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        decoder_n_points=2,
    )
    network: Any = GroundingDinoForObjectDetection(config)
    _randomize(network)
    network.save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 128, "longest_edge": 192})
    GroundingDinoProcessor(images, _word_tokenizer()).save_pretrained(folder)
    return folder


def _randomize(network: Any) -> None:
    """Heads start at zero, which would put every box in one place."""
    with torch.no_grad():
        for value in network.parameters():
            value += 0.05 * torch.randn_like(value)


def _letter_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    tokens = ["!", "<|startoftext|>", "<|endoftext|>"]  # OWL takes 0 for no query
    tokens += [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    (folder / "vocab.json").write_text(json.dumps({t: n for n, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=16)


def _word_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordPiece({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )

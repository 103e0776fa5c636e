"""Vision-language models of random weights, as small as transformers allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "Yes",
    "no",
    "yes",
    "Does",
    "this",
    "figure",
    "show",
    "Please",
    "answer",
    "or",
    "?",
    ".",
    '"',
    "a",
    "red",
    "blue",
    "cat",
    "dog",
    "USER",
    "ASSISTANT",
    ":",
    "{",
    "}",
]
CHAT = (
    "{% for m in messages %}USER: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %} ASSISTANT:"
)
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )


def _pictures() -> Any:
    from transformers import CLIPImageProcessor

    square = {"height": 32, "width": 32}
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)


def _llava(folder: Path) -> None:
    """LLaVA: the image's tokens stand in the text, and the model goes on with it."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    text = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    vision = CLIPVisionConfig(**VISION)
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=4)
    network: Any = LlavaForConditionalGeneration(config)
    network.save_pretrained(folder)
    LlavaProcessor(
        _pictures(),
        _tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def _blip2(folder: Path) -> None:
    """BLIP-2 on T5: an encoder reads the question, and a decoder answers."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        T5Config,
    )

    text: Any = T5Config(
        vocab_size=len(WORDS),
        d_model=16,
        d_ff=16,
        d_kv=8,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=2,
    )
    text.decoder_start_token_id = 0
    former = Blip2QFormerConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        encoder_hidden_size=16,
        vocab_size=len(WORDS),
    )
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**VISION).to_dict(),
        qformer_config=former.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=4,
    )
    network: Any = Blip2ForConditionalGeneration(config)
    network.save_pretrained(folder)
    Blip2Processor(_pictures(), _tokenizer(), num_query_tokens=4).save_pretrained(folder)


MAKE = {"llava": _llava, "blip2": _blip2}


def save_model(kind: str, folder: Path) -> Path:
    """One of them in a folder of its own, with the same weights each time."""
    import torch

    torch.manual_seed(0)
    MAKE[kind](folder / "model")
    return folder / "model"

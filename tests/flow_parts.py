"""Parts of the pipelines of `flow_pipelines`: encoders, tokenizers, autoencoders, a scheduler."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from tests.curate.tiny import autoencoder, text_encoder

SEED = 0
"""Of the weights."""
GAIN = 1.5
"""Standard deviation of a layer's outputs for inputs of one."""
PRINTABLE = sorted({*string.printable} - {*string.whitespace})
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Template of one message after another, as Qwen writes them."""


def clip(*, projected: bool) -> Any:
    """With a projection or without; texts of up to 77 tokens."""
    special = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    sizes = {"vocab_size": 514, "num_hidden_layers": 2, "max_position_embeddings": 77}
    return text_encoder(projected=projected, **sizes, **special)


def clip_words() -> Any:
    """The bytes, alone and at the end of a word."""
    from transformers import CLIPTokenizer

    letters = _letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    kind: Any = CLIPTokenizer
    return kind(vocab=vocabulary, merges=[], model_max_length=77)


def _letters() -> list[str]:
    """The characters that stand for the 256 bytes in vocabularies of this kind."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [*map(chr, plain), *(chr(256 + number) for number, _ in enumerate(others))]


def t5() -> Any:
    """T5's encoder."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=128, d_model=32, d_ff=16, d_kv=8, num_layers=1, num_heads=2)
    return T5EncoderModel(config)


def umt5() -> Any:
    """UMT5's encoder."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=128, d_model=32, d_ff=16, d_kv=8, num_layers=1, num_heads=2)
    return UMT5EncoderModel(config)


def t5_words() -> Any:
    """Printable characters."""
    from transformers import T5Tokenizer

    tokens = ["<pad>", "</s>", "<unk>", "▁", *PRINTABLE]
    vocabulary = [(token, 0.0 if n < 3 else -1.0) for n, token in enumerate(tokens)]
    kind: Any = T5Tokenizer
    return kind(vocab=vocabulary, extra_ids=0, model_max_length=512)


def gemma() -> Any:
    """Gemma 2."""
    from transformers import Gemma2Config, Gemma2Model

    config = Gemma2Config(
        vocab_size=128,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        query_pre_attn_scalar=8,
    )
    return Gemma2Model(config)


def gemma_words() -> Any:
    """Printable characters, after a token with which every text begins."""
    from transformers import GemmaTokenizer

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *PRINTABLE]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    kind: Any = GemmaTokenizer
    return kind(vocab=vocabulary, merges=[], add_bos_token=True)


def qwen_vl() -> Any:
    """Qwen2.5-VL."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    words = qwen_words()
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2], "rope_type": "default"},
        "rope_theta": 1_000_000.0,
        "bos_token_id": None,
        "eos_token_id": len(words) - 1,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
    }
    encoder: Any = Qwen2_5_VLForConditionalGeneration
    return encoder(Qwen2_5_VLConfig(text_config=text, vision_config=vision))


def qwen3(layers: int, *, causal: bool) -> Any:
    """Of so many layers, with the head that writes text or without."""
    from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

    config = Qwen3Config(
        vocab_size=len(qwen_words()),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    kind: Any = Qwen3ForCausalLM if causal else Qwen3Model
    return kind(config)


def qwen_words() -> Any:
    """The bytes, and a template of chats."""
    from transformers import Qwen2Tokenizer

    tokens = [*_letters(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    kind: Any = Qwen2Tokenizer
    words = kind(vocab=vocabulary, merges=[], additional_special_tokens=tokens[-2:])
    words.chat_template = CHAT
    return words


def seed() -> None:
    """Before weights are made."""
    import torch

    torch.manual_seed(SEED)


def save(pipeline: Any, folder: Path) -> Path:
    """With weights drawn anew; the folder."""
    import torch

    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            _draw_weights(component)
    pipeline.save_pretrained(folder)
    return folder


def _draw_weights(module: Any) -> None:
    """So large that what goes in shows in what comes out; some would else be left unset."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=GAIN / parameter[0].numel() ** 0.5)


def diffusers() -> Any:
    """The library, whose names are made when they are asked for."""
    import diffusers as library

    return library


def scheduler(*, shift: float, dynamic: bool = False, **more: Any) -> Any:
    """Of flow matching, by Euler's steps."""
    return diffusers().FlowMatchEulerDiscreteScheduler(
        shift=shift, use_dynamic_shifting=dynamic, **more
    )


def solver(order: int) -> Any:
    """Of flow matching, by the solver with which SANA was published."""
    return diffusers().DPMSolverMultistepScheduler(
        solver_order=order, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def vae(channels: int, **more: Any) -> Any:
    """Of 8 pixels a latent, without convolutions beside it."""
    return autoencoder(channels, 32, use_quant_conv=False, use_post_quant_conv=False, **more)


def flux2_vae() -> Any:
    """FLUX.2's, which normalises latents by patches."""
    import torch

    coder = diffusers().AutoencoderKLFlux2(
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=32,
    )
    coder.bn.running_mean.copy_(torch.linspace(-1, 1, 16))
    coder.bn.running_var.copy_(torch.linspace(0.5, 4, 16))
    return coder


def qwen_vae() -> Any:
    """Qwen-Image's, made for films."""
    return diffusers().AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.1, 0.2, 0.0],
        latents_std=[1.5, 2.0, 2.5, 1.0],
    )


def sana_vae() -> Any:
    """SANA's, without noise of its own."""
    return diffusers().AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )

"""Small random pipelines of other families, for tests: SDXL, SD 3 and FLUX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.curate.tiny import autoencoder, save_tokenizer, text_encoder

SCALE = 8
"""Pixels a latent, as in the real ones."""


def sdxl(folder: Path) -> None:
    """Two encoders and size conditioning."""
    import diffusers

    parts: Any = diffusers
    words = save_tokenizer(folder.with_name(f"{folder.name}-words"))
    parts.StableDiffusionXLPipeline(
        vae=autoencoder(),
        unet=parts.UNet2DConditionModel(
            sample_size=2,
            block_out_channels=(8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
        ),
        text_encoder=text_encoder(projected=False),
        text_encoder_2=text_encoder(projected=True),
        tokenizer=words,
        tokenizer_2=words,
        scheduler=parts.EulerDiscreteScheduler(steps_offset=1),
    ).save_pretrained(folder)


def sd3(folder: Path) -> None:
    """A transformer over patches, flow matching; without the T5, as it may be used."""
    import diffusers

    parts: Any = diffusers
    words = save_tokenizer(folder.with_name(f"{folder.name}-words"))
    parts.StableDiffusion3Pipeline(
        transformer=parts.SD3Transformer2DModel(
            sample_size=4,
            patch_size=1,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=32,
            caption_projection_dim=32,
            pooled_projection_dim=32,
            out_channels=4,
            pos_embed_max_size=16,
        ),
        vae=autoencoder(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=text_encoder(projected=True),
        text_encoder_2=text_encoder(projected=True),
        text_encoder_3=None,
        tokenizer=words,
        tokenizer_2=words,
        tokenizer_3=None,
        scheduler=parts.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def flux(folder: Path) -> None:
    """A CLIP and a T5, packed latents, flow matching."""
    import diffusers
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    parts: Any = diffusers
    inner: Any = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2}, "<unk>"))
    second: Any = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
    t5 = T5Config(vocab_size=8, d_model=32, d_ff=16, d_kv=8, num_layers=1, num_heads=2)
    parts.FluxPipeline(
        transformer=parts.FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        ),
        vae=autoencoder(1, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=text_encoder(projected=False),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer=save_tokenizer(folder.with_name(f"{folder.name}-words")),
        tokenizer_2=second,
        scheduler=parts.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


FAMILIES = {"sdxl": sdxl, "sd3": sd3, "flux": flux}

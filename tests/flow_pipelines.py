"""Pipelines of flow matching with random weights, as small as diffusers allows, for tests.

Each function writes one to a folder in diffusers' layout, the same bytes each time, without a
network and in well under a second. Images of 32×32 pixels suit all: a latent is 8 pixels wide
(SANA's 2), and most transformers read patches of 2×2 latents. Texts are spelled out letter by
letter. Weights are larger than the libraries make them, so that a prompt shows in the image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.flow_parts import (
    clip,
    clip_words,
    diffusers,
    flux2_vae,
    gemma,
    gemma_words,
    qwen3,
    qwen_vae,
    qwen_vl,
    qwen_words,
    sana_vae,
    save,
    scheduler,
    seed,
    solver,
    t5,
    t5_words,
    umt5,
    vae,
)


def sd3(
    folder: Path, *, with_t5: bool = True, dual_attention_layers: tuple[int, ...] = (0,)
) -> Path:
    """Two CLIPs and a T5; with SD 3.5 medium's dual attention in the named layers.

    Without the T5 diffusers loads it only with `text_encoder_3=None, tokenizer_3=None`.
    """
    seed()
    return save(
        diffusers().StableDiffusion3Pipeline(
            transformer=diffusers().SD3Transformer2DModel(
                sample_size=4,
                patch_size=2,
                in_channels=16,
                out_channels=16,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=32,
                caption_projection_dim=32,
                pooled_projection_dim=32,
                pos_embed_max_size=16,
                dual_attention_layers=dual_attention_layers,
                qk_norm="rms_norm",
            ),
            vae=vae(16, scaling_factor=1.5305, shift_factor=0.0609),
            text_encoder=clip(projected=True),
            text_encoder_2=clip(projected=True),
            text_encoder_3=t5() if with_t5 else None,
            tokenizer=clip_words(),
            tokenizer_2=clip_words(),
            tokenizer_3=t5_words() if with_t5 else None,
            scheduler=scheduler(shift=3.0),
        ),
        folder,
    )


def flux(folder: Path, *, guidance_embeds: bool = True) -> Path:
    """FLUX.1-dev, which embeds its guidance; without it FLUX.1-schnell, which takes none."""
    seed()
    return save(
        diffusers().FluxPipeline(
            transformer=diffusers().FluxTransformer2DModel(
                patch_size=1,
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=32,
                pooled_projection_dim=16,
                axes_dims_rope=(4, 4, 8),
                guidance_embeds=guidance_embeds,
            ),
            vae=vae(4, scaling_factor=0.3611, shift_factor=0.1159),
            text_encoder=clip(projected=False),
            text_encoder_2=t5(),
            tokenizer=clip_words(),
            tokenizer_2=t5_words(),
            scheduler=scheduler(shift=3.0 if guidance_embeds else 1.0, dynamic=guidance_embeds),
        ),
        folder,
    )


def flux2_dev(folder: Path) -> Path:
    """FLUX.2-dev, which embeds its guidance; with Qwen3 in the place of Mistral."""
    seed()
    return save(
        diffusers().Flux2Pipeline(
            transformer=_flux2_transformer(guidance_embeds=True),
            vae=flux2_vae(),
            text_encoder=qwen3(30, causal=True),  # the pipeline reads the layers 10, 20 and 30
            tokenizer=qwen_words(),
            scheduler=scheduler(shift=3.0, dynamic=True),
        ),
        folder,
    )


def flux2_klein(folder: Path, *, distilled: bool = False) -> Path:
    """FLUX.2-klein, or its distilled form, which is drawn without guidance."""
    seed()
    return save(
        diffusers().Flux2KleinPipeline(
            transformer=_flux2_transformer(guidance_embeds=False),
            vae=flux2_vae(),
            text_encoder=qwen3(27, causal=True),  # the pipeline reads the layers 9, 18 and 27
            tokenizer=qwen_words(),
            scheduler=scheduler(shift=3.0, dynamic=True),
            is_distilled=distilled,
        ),
        folder,
    )


def _flux2_transformer(*, guidance_embeds: bool) -> Any:
    return diffusers().Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    )


def qwen_image(folder: Path) -> Path:
    """Qwen-Image, which takes classifier-free guidance by the name of `true_cfg_scale`."""
    seed()
    return save(
        diffusers().QwenImagePipeline(
            transformer=diffusers().QwenImageTransformer2DModel(
                patch_size=2,
                in_channels=16,
                out_channels=4,
                num_layers=2,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=16,
                axes_dims_rope=(8, 4, 4),
            ),
            vae=qwen_vae(),
            text_encoder=qwen_vl(),
            tokenizer=qwen_words(),
            scheduler=scheduler(shift=1.0, dynamic=True, shift_terminal=0.02),
        ),
        folder,
    )


def z_image(folder: Path) -> Path:
    """Z-Image, whose guidance counts from 0."""
    seed()
    return save(
        diffusers().ZImagePipeline(
            transformer=diffusers().ZImageTransformer2DModel(
                in_channels=16,
                dim=32,
                n_layers=2,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=16,
                axes_dims=[8, 4, 4],
                axes_lens=[1024, 32, 32],
            ),
            vae=vae(16, scaling_factor=0.3611, shift_factor=0.1159),
            text_encoder=qwen3(2, causal=False),
            tokenizer=qwen_words(),
            scheduler=scheduler(shift=3.0),
        ),
        folder,
    )


def sana(folder: Path, *, solver_order: int = 0) -> Path:
    """SANA: an autoencoder that is no variational one, and Gemma.

    It is published with a solver of the second order; 0 is for Euler's steps, as of other families.
    So small a one is drawn with `use_resolution_binning=False` alone.
    """
    seed()
    return save(
        diffusers().SanaPipeline(
            transformer=diffusers().SanaTransformer2DModel(
                in_channels=4,
                out_channels=4,
                num_layers=1,
                num_attention_heads=2,
                attention_head_dim=4,
                num_cross_attention_heads=2,
                cross_attention_head_dim=4,
                cross_attention_dim=8,
                caption_channels=8,
                sample_size=4,
            ),
            vae=sana_vae(),
            text_encoder=gemma(),
            tokenizer=gemma_words(),
            scheduler=solver(solver_order) if solver_order else scheduler(shift=3.0),
        ),
        folder,
    )


def lumina2(folder: Path) -> Path:
    """Lumina 2, whose time runs backwards, and Gemma."""
    seed()
    return save(
        diffusers().Lumina2Pipeline(
            transformer=diffusers().Lumina2Transformer2DModel(
                sample_size=4,
                patch_size=2,
                in_channels=16,
                hidden_size=16,
                num_layers=1,
                num_refiner_layers=1,
                num_attention_heads=2,
                num_kv_heads=1,
                multiple_of=16,
                axes_dim_rope=(4, 2, 2),
                axes_lens=(300, 32, 32),
                cap_feat_dim=8,
            ),
            vae=vae(16, scaling_factor=0.3611, shift_factor=0.1159),
            text_encoder=gemma(),
            tokenizer=gemma_words(),
            scheduler=scheduler(shift=6.0),
        ),
        folder,
    )


def aura_flow(folder: Path) -> Path:
    """AuraFlow: SDXL's VAE, and a UMT5."""
    seed()
    return save(
        diffusers().AuraFlowPipeline(
            transformer=diffusers().AuraFlowTransformer2DModel(
                sample_size=4,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_mmdit_layers=1,
                num_single_dit_layers=1,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=32,
                caption_projection_dim=32,
                pos_embed_max_size=64,
            ),
            vae=vae(4, scaling_factor=0.13025),
            text_encoder=umt5(),
            tokenizer=t5_words(),
            scheduler=scheduler(shift=1.73),
        ),
        folder,
    )


FLOW_PIPELINES: dict[str, Callable[[Path], Path]] = {
    "sd3": sd3,
    "sd3_without_t5": partial(sd3, with_t5=False, dual_attention_layers=()),
    "flux": flux,
    "flux_schnell": partial(flux, guidance_embeds=False),
    "flux2_dev": flux2_dev,
    "flux2_klein": flux2_klein,
    "flux2_klein_distilled": partial(flux2_klein, distilled=True),
    "qwen_image": qwen_image,
    "z_image": z_image,
    "sana": sana,
    "lumina2": lumina2,
    "aura_flow": aura_flow,
}
"""Name of a family -> what writes its pipeline."""

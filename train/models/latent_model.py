"""What all families share: an autoencoder, encoders for phase one, a denoiser, lazily loaded.

Shapes: M samples, P prompts, C x H x W the latent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from invdpo.schemas.errors import ModelError
from invdpo.schemas.io.model_folder import model_errors, read_index, read_settings
from invdpo.train.data.buckets import Fitted, Framing, Size
from invdpo.train.models.base import Conditioning
from invdpo.train.models.components import empty_component, hash_components, load_component
from invdpo.train.schedule import NoiseProcess


class LatentModel(ABC):
    """A frozen model of one family, read from a folder in diffusers layout."""

    pipeline: ClassVar[str]
    component: ClassVar[str]
    encoders: ClassVar[tuple[str, ...]]
    """Components that turn prompts into conditioning."""
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    denoiser_class: ClassVar[str]
    """In diffusers."""
    lengths_vary: ClassVar[bool] = False
    """Whether the conditioning is as long as the prompt, with a mask where it is padded."""
    vae_class: ClassVar[str] = "AutoencoderKL"
    vae_dimensions: ClassVar[int] = 4
    """Of what the autoencoder takes: 5 where it is made for films."""
    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    """Of the denoiser's weights."""

    process: NoiseProcess
    embedded_guidance: float = 1.0
    """What models distilled with guidance take as an input."""
    max_sequence_length: int | None = None
    """Text tokens that it takes; None for as many as its pipeline does by default."""

    def __init__(self, folder: Path, device: torch.device, dtype: str, weights_dtype: str) -> None:
        self.folder, self.device = folder, device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.weights_dtype: torch.dtype = getattr(torch, weights_dtype)
        self.scheduler_config = read_settings(folder / "scheduler" / "scheduler_config.json")
        self.denoiser_config, self.vae_config = (
            read_settings(folder / name / "config.json") for name in (self.component, "vae")
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash over the files of all components."""
        return hash_components(self.folder, (self.component, "vae", *self.encoders, "scheduler"))

    @property
    def precision(self) -> str:
        """The precision of the computations, and that of the weights where it differs."""
        kinds = [str(kind).removeprefix("torch.") for kind in (self.dtype, self.weights_dtype)]
        return " on ".join(dict.fromkeys(kinds))

    @property
    def embeds_guidance(self) -> bool:
        """Whether the model was distilled with guidance, which it takes as an input."""
        return False

    @property
    def distilled_unguided(self) -> bool:
        """Whether it was distilled to need no guidance, and takes none."""
        return False

    @property
    def side(self) -> int:
        """Side in pixels of the square it was made for."""
        return int(self.denoiser_config["sample_size"] * self._factor)

    @property
    @abstractmethod
    def multiple(self) -> int:
        """Pixels of which every side is a multiple."""

    @property
    def _factor(self) -> int:
        """Pixels along a side for one of the latent."""
        return int(2 ** (len(self.vae_config["block_out_channels"]) - 1))

    @property
    def _channels(self) -> int:
        return int(self.denoiser_config["in_channels"])

    def latent_shape(self, size: Size) -> tuple[int, int, int]:
        """(C, H, W) of an image's latent, from the configuration alone."""
        return self._channels, size[1] // self._factor, size[0] // self._factor

    def drawn_size(self, size: Size) -> Size:
        """At which the pipeline generates an image that is asked for at `size`."""
        return size

    @cached_property
    def denoiser(self) -> Any:
        """The denoiser, frozen."""
        kind = self._diffusers(self.denoiser_class)
        denoiser = self._load(kind, self.component, self.weights_dtype)
        return denoiser.to(memory_format=self.memory_format)

    def empty_denoiser(self) -> Any:
        """The same without memory for its weights: names and shapes alone."""
        return empty_component(self._diffusers(self.denoiser_class), self.folder / self.component)

    def empty_encoders(self) -> dict[str, Any]:
        """Autoencoder and text encoders likewise, by their names in the index."""
        kinds = {name: self._text_class(name) for name in self.text_encoders}
        kinds["vae"] = self._diffusers(self.vae_class)
        return {name: empty_component(kind, self.folder / name) for name, kind in kinds.items()}

    @property
    def text_encoders(self) -> list[str]:
        """Those that the index has: some models come without one of their family's."""
        names = [name for name in self.encoders if not name.startswith("tokenizer")]
        return [name for name in names if self._text_class(name)]

    def _text_class(self, name: str) -> Any:
        """Class of a tokenizer or text encoder; None where the index has none."""
        import transformers

        library, kind = read_index(self.folder).get(name) or (None, None)
        if kind is not None and (library != "transformers" or not hasattr(transformers, kind)):
            text = f"{self.folder}: {name} is a {kind}, which {library} doesn't have."
            raise ModelError(text)
        return kind and getattr(transformers, kind)

    def prompt_shapes(self, tokens: int) -> Conditioning:
        """What `encode_prompts` gives for one prompt, on the meta device but for masks.

        Where texts vary in length, the prompt has so many tokens. Nothing is loaded.
        """
        raise NotImplementedError

    @cached_property
    def vae(self) -> Any:
        """The autoencoder, frozen; in float32 where half precision would overflow."""
        vae = self._load(self._diffusers(self.vae_class), "vae", self.vae_dtype)
        return vae.to(memory_format=torch.channels_last) if self.vae_dimensions == 4 else vae

    @torch.no_grad()
    def encode_images(self, images: Sequence[Fitted]) -> Conditioning:
        """`latent` (M, C, H, W) and the `size_conditioning`; all images are of one size."""
        pixels = torch.stack([to_pixels(fitted.image) for fitted in images]).to(self.device)
        with self._precision(self.vae_dtype):
            latent = self._encode_pixels(pixels)
        return {"latent": latent} | self.size_conditioning([fitted.framing for fitted in images])

    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        """Scaled latents of pixels (M, 3, height, width)."""
        mode = self.vae.encode(pixels).latent_dist.mode()
        latent: Tensor = (mode.float() - self._shift) * self.vae.config.scaling_factor
        return latent

    @torch.no_grad()
    def decode_latents(self, latent: Tensor) -> Tensor:
        """Images (M, 3, height, width) in -1..1 of clean latents (M, C, H, W)."""
        with self._precision(self.vae_dtype):
            pixels = self._decode(latent)
        bounded: Tensor = pixels.float().clamp(-1, 1)
        return bounded

    def _decode(self, latent: Tensor) -> Tensor:
        scaled = latent / self.vae.config.scaling_factor + self._shift
        pixels: Tensor = self.vae.decode(scaled).sample
        return pixels

    def size_conditioning(self, framings: Sequence[Framing]) -> Conditioning:
        """Empty: most families have no conditioning on sizes."""
        return {}

    @abstractmethod
    def encode_prompts(self, prompts: Sequence[str | None]) -> Conditioning:
        """Conditioning on each prompt, truncated as the pipeline truncates it."""

    @abstractmethod
    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether it is longer than an encoder takes; loads only tokenizers."""

    @abstractmethod
    def predict(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """The prediction at x (M, C, H, W) and timesteps t (M,), in x's precision."""

    def drop_encoders(self) -> None:
        """Free VAE, text encoders and tokenizers; they are loaded again when used."""
        for name in ("vae", *self.encoders):
            self.__dict__.pop(name, None)

    @property
    def vae_dtype(self) -> torch.dtype:
        """Precision of the VAE: float32 where its configuration says that half overflows."""
        upcast = self.vae_config.get("force_upcast") and self.dtype == torch.float16
        return torch.float32 if upcast else self.dtype

    @property
    def _shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0

    def _precision(self, dtype: torch.dtype) -> torch.autocast:
        half = dtype != torch.float32 and self.device.type != "meta"  # which has no such thing
        kind = self.device.type if half else "cpu"
        return torch.autocast(kind, dtype if half else None, enabled=half)

    def _load(self, kind: Any, name: str, dtype: torch.dtype) -> Any:
        return load_component(kind, self.folder, name, self.device, dtype)

    @staticmethod
    def _diffusers(name: str) -> Any:
        import diffusers

        return getattr(diffusers, name)


def to_pixels(image: Image.Image) -> Tensor:
    """RGB as (3, height, width) float32 in -1..1."""
    raw = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return raw.view(image.height, image.width, 3).permute(2, 0, 1).float() / 127.5 - 1


def tokenize(tokenizer: Any, texts: Sequence[str]) -> Any:
    """Tokens (P, L), padded and truncated to the encoder's length."""
    with model_errors(tokenizer.name_or_path):
        return tokenizer(
            list(texts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )


def too_long(tokenizer: Any, texts: Sequence[str], most: int | None = None) -> list[bool]:
    """For each text whether it has more tokens than `most`, by default what `tokenize` keeps."""
    tokens = tokenizer(list(texts), verbose=False).input_ids
    return [len(ids) > (most or tokenizer.model_max_length) for ids in tokens]

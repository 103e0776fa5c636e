"""What flow-matching families share: a transformer that predicts velocities, drawn by Euler steps.

Shapes: M samples, P prompts, L tokens, D their width, C x H x W the latent. σ is 0 for a clean
latent and 1 for noise; a family's `_call` returns the velocity noise − x_0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property, reduce
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from invdpo.schemas.errors import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import model_errors, read_index
from invdpo.train.models.base import MASK, STATES, Conditioning
from invdpo.train.models.latent_model import LatentModel, too_long
from invdpo.train.models.rectified_flow import RectifiedFlow
from invdpo.train.schedule import Shape

EULER = "FlowMatchEulerDiscreteScheduler"


class FlowModel(LatentModel):
    """Prompts are encoded by the family's own pipeline, without its transformer and VAE."""

    component: ClassVar[str] = "transformer"
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )
    schedulers: ClassVar[dict[str, dict[str, Any]]] = {EULER: {}}
    """With which the family was published, and the settings without which they are no flow's."""
    negative: ClassVar[str] = ""
    """The prompt that guidance leads away from."""
    sample_size: ClassVar[int] = 128
    """Side of the latent that the pipeline generates by default, unless the transformer says so."""
    patch: ClassVar[int] = 2
    """Positions along a side of the latent that make one token."""
    steps_evenly: ClassVar[bool] = True
    """Whether the pipeline steps from 1 to 1/N before the shift; else the scheduler spaces them."""
    max_shift: ClassVar[float] = 1.15
    """Of the dynamic shift, unless the scheduler says so."""
    longest: ClassVar[dict[str, int]]
    """Tokenizers that a prompt must fit, and the most tokens that the pipeline takes by default;
    0 for as many as the tokenizer says."""
    most_tokens: ClassVar[int | None] = None
    """The most that the pipeline lets anybody ask for."""
    reserved_tokens: ClassVar[int] = 0
    """Of those, what a prompt can't have."""
    text_width: ClassVar[str] = "joint_attention_dim"
    """Name in the transformer's configuration of the width of the text's states."""
    pools_texts: ClassVar[bool] = False
    """Whether there are states of a whole text, too."""

    def __init__(self, folder: Path, device: torch.device, dtype: str, weights_dtype: str) -> None:
        super().__init__(folder, device, dtype, weights_dtype)
        self._check_scheduler()
        levels = int(self.scheduler_config.get("num_train_timesteps", 1000))
        self.process: RectifiedFlow = RectifiedFlow(self._sigmas, levels)

    def _check_scheduler(self) -> None:
        where, has = self.folder / "scheduler", self.scheduler_config
        found = str(has.get("_class_name"))
        settings = self.schedulers.get(found)
        if settings is None:
            raise ModelError(
                f"{where}: found {found}; a {self.pipeline} can be trained with the "
                f"{' or '.join(self.schedulers)} that it was published with."
            )
        for name, value in settings.items():
            if has.get(name) != value:
                raise ModelError(
                    f"{where}: {name}: found {has.get(name)}; a {self.pipeline} can be trained "
                    f"with {value}."
                )

    @property
    def side(self) -> int:
        """Side in pixels of the square that the pipeline generates by default."""
        return int(self.denoiser_config.get("sample_size", self.sample_size)) * self._factor

    @property
    def multiple(self) -> int:
        """Pixels of which every side is a multiple: whole tokens."""
        return self._factor * self.patch

    def _sigmas(self, steps: int, shape: Shape) -> Tensor:
        """σ as the pipeline's own call sets them for a latent of this shape: (N+1,), 1 to 0."""
        import numpy as np

        make = self._diffusers(self.scheduler_config["_class_name"]).from_config
        with model_errors(self.folder / "scheduler"), quiet_libraries():
            scheduler, given = make(self.scheduler_config), dict[str, Any]()
            if self.scheduler_config.get("use_dynamic_shifting"):
                given["mu"] = self._shift_of(shape[1] * shape[2] // self.patch**2, steps)
            if self.steps_evenly and not self.scheduler_config.get("use_flow_sigmas"):
                given["sigmas"] = np.linspace(1.0, 1 / steps, steps)
            scheduler.set_timesteps(steps, **given)
        sigmas: Tensor = scheduler.sigmas
        return sigmas

    def _shift_of(self, tokens: int, steps: int) -> float:
        """The exponent of the shift for an image of so many tokens: linear between two sizes.

        The same for any number of steps, in most families.
        """
        known = self.scheduler_config.get
        least, most = known("base_image_seq_len", 256), known("max_image_seq_len", 4096)
        low, high = known("base_shift", 0.5), known("max_shift", self.max_shift)
        return float(low + (high - low) * (tokens - least) / (most - least))

    @cached_property
    def text_pipeline(self) -> Any:
        """The family's pipeline with its text encoders alone."""
        parts = dict[str, Any]()
        for name in self.encoders:
            kind = self._text_class(name)
            if kind is not None and name.startswith("tokenizer"):
                kind = self._tokenizer(name)
            elif kind is not None:
                kind = self._load(kind, name, self.dtype)
            parts[name] = kind
        with model_errors(self.folder), quiet_libraries():
            # some pipelines ask the transformer for its width
            parts |= {"transformer": self.empty_denoiser(), "vae": None, "scheduler": None}
            return self._diffusers(self.pipeline)(**parts)

    def _tokenizer(self, name: str) -> Any:
        import transformers

        kind = (read_index(self.folder).get(name) or (None, None))[1]
        with model_errors(self.folder / name), quiet_libraries():
            return getattr(transformers, str(kind)).from_pretrained(self.folder, subfolder=name)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str | None]) -> Conditioning:
        """By the pipeline's own `encode_prompt`; None is what guidance leads away from."""
        texts = [prompt for prompt in prompts if prompt is not None]
        pipeline, parts = self.text_pipeline, list[Conditioning]()
        with model_errors(self.folder), quiet_libraries():
            if texts:
                parts.append(self._encode(pipeline, texts))
            if len(texts) < len(prompts):
                parts.append(self._encode_negative(pipeline))
        encoded, row = reduce(joined, parts), count()
        rows = [len(texts) if prompt is None else next(row) for prompt in prompts]
        return {
            name: (value.to(self.dtype) if value.is_floating_point() else value)[rows]
            for name, value in encoded.items()
        }

    def prompt_shapes(self, tokens: int) -> Conditioning:
        """States (1, L, D), with their mask (1, L) or pooled ones (1, E) where there are such."""
        config = self.denoiser_config
        if not self.lengths_vary:
            tokens = self.max_sequence_length or [*self.longest.values()][-1]
        given: dict[str, Any] = {"dtype": self.dtype, "device": "meta"}
        shapes = {STATES: torch.empty(1, tokens, config[self.text_width], **given)}
        if self.lengths_vary:
            shapes[MASK] = torch.ones(1, tokens, dtype=torch.bool)
        if self.pools_texts:
            width = config["pooled_projection_dim"]
            shapes["pooled_projections"] = torch.empty(1, width, **given)
        return shapes

    @abstractmethod
    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """The conditioning on P prompts."""

    @property
    def _text_length(self) -> dict[str, int]:
        """How many tokens the pipeline is asked for; nothing where its default holds."""
        given = self.max_sequence_length
        return {} if given is None else {"max_sequence_length": given}

    def _encode_negative(self, pipeline: Any) -> Conditioning:
        """The one row that guidance leads away from; some families word it as no prompt is."""
        return self._encode(pipeline, [self.negative])

    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether the encoder that takes most truncates it; tokenizers alone."""
        cut = [False] * len(prompts)
        index = read_index(self.folder)
        for name, most in self.longest.items():
            if (index.get(name) or (None, None))[1] is not None:
                most = most and (self.max_sequence_length or most) - self.reserved_tokens
                cut = too_long(self._tokenizer(name), self._as_asked(prompts), most or None)
        return cut

    def _as_asked(self, prompts: Sequence[str]) -> Sequence[str]:
        """The prompts as they go to the tokenizer."""
        return prompts

    def _in_chat(self, prompts: Sequence[str], **given: Any) -> list[str]:
        """Each prompt as what a user says to a model that would answer."""
        template = self._tokenizer("tokenizer").apply_chat_template
        return [
            template(
                [{"role": "user", "content": prompt}],
                tokenize=False,
                add_generation_prompt=True,
                **given,
            )
            for prompt in prompts
        ]

    def predict(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """The velocity at x (M, C, H, W) and σ = t (M,), in x's precision."""
        with self._precision(self.dtype):
            out = self._call(denoiser, x, t, conditioning)
        return out.to(x.dtype)

    @abstractmethod
    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor: ...

    def drop_encoders(self) -> None:
        """Free VAE, text encoders and tokenizers; they are loaded again when used."""
        for name in ("vae", "text_pipeline"):
            self.__dict__.pop(name, None)


def pack(x: Tensor) -> Tensor:
    """Latents (M, C, H, W) as tokens (M, H/2·W/2, 4C), each a square of 2 by 2 positions."""
    m, c, h, w = x.shape
    squares = x.view(m, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(m, h // 2 * (w // 2), 4 * c)


def unpack(tokens: Tensor, shape: Shape) -> Tensor:
    """The inverse of `pack`, for latents of shape (C, H, W)."""
    c, h, w = shape
    squares = tokens.view(-1, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(-1, c, h, w)


def joined(first: Conditioning, second: Conditioning) -> Conditioning:
    """The samples of both; texts of different lengths are padded with zeros, masks as well."""
    return {
        name: pad_sequence([*value, *second[name]], batch_first=True)
        for name, value in first.items()
    }


def padded(rows: Sequence[Tensor]) -> Conditioning:
    """Texts of different lengths, each (L_i, D), as one tensor and its mask."""
    states = pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=states.device)
    mask = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
    return {STATES: states, MASK: mask}


def valid(states: Tensor, mask: Tensor) -> Conditioning:
    """Texts (P, L, D) of one length as texts of different lengths, of the tokens in a mask."""
    return padded([row[kept] for row, kept in zip(states, mask.bool(), strict=True)])

"""`aesthetic`: LAION's aesthetic predictor 2, a few layers on the CLIP ViT-L/14 embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.checkpoints.model_files import ModelFiles, checkpoint_files, clip_files
from invdpo.curate.checkpoints.weights import DIGITS, read_tensors
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.files import hash_file

if TYPE_CHECKING:
    import torch

HEAD = "sac+logos+ava1-l14-linearMSE.pth"
LAYER_INDICES = (0, 2, 4, 6, 7)
"""Indices of the linear layers in the released module; between them are dropouts only."""
Layers = list[tuple["torch.Tensor", "torch.Tensor"]]
"""Weight (out×in) and bias (out) of each layer."""


@SCORERS.register("aesthetic")
class AestheticScorer(Scorer):
    """About 1..10, whatever the prompt."""

    name = "aesthetic"
    needs: Sequence[str] = (IMAGE,)

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._clip = LoadOnce(lambda: open_clip.load_encoder(self._source, config.device))

    @cached_property
    def revision(self) -> str:
        """The head with its hash, and the CLIP under it with its revision."""
        weights = hash_file(self._file)[:DIGITS]
        return f"{self._file.name}@sha256:{weights} on {self._source.revision()}"

    @cached_property
    def _file(self) -> Path:
        path = self._config.aesthetic_head
        if path is None:
            raise ConfigError(
                f"score.aesthetic_head: missing. Give LAION's file {HEAD}, which the repository "
                "christophschuhmann/improved-aesthetic-predictor on GitHub holds."
            )
        if not Path(path).is_file():
            raise ModelError(f"score.aesthetic_head: {path!r} is not there. Give the file {HEAD}.")
        return Path(path)

    @cached_property
    def _source(self) -> open_clip.Source:
        tag = "openai" if self._config.aesthetic_clip == "ViT-L-14-quickgelu" else None
        return open_clip.find(self._config.aesthetic_clip, tag)

    @cached_property
    def _layers(self) -> Layers:
        device = self._clip().device
        return [(weight.to(device), bias.to(device)) for weight, bias in read_head(self._file)]

    def model_files(self) -> list[ModelFiles]:
        """The head, and the CLIP under it."""
        head = checkpoint_files(str(self._file), "", self._file.name)
        return [head, clip_files(self._source)]

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The image as CLIP takes it."""
        return self._clip().pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a candidate."""
        import torch

        clip = self._clip()
        pixels = torch.stack(self.take_prepared(candidates))
        with torch.inference_mode():
            embeddings = clip.images(pixels.to(clip.device))
            _check_width(embeddings, self._layers, self._config)
            scores = apply_layers(self._layers, embeddings)
        return [Judged(score) for score in scores.double().tolist()]


def read_head(path: Path) -> Layers:
    """The layers of a released head. Raises `ModelError` if the file is not one."""
    return head_layers(read_tensors(path), path)


def head_layers(tensors: Mapping[str, torch.Tensor], path: Path) -> Layers:
    """The layers among tensors read from `path`; ImageReward's head has the same form."""
    names = {f"layers.{index}.{kind}" for index in LAYER_INDICES for kind in ("weight", "bias")}
    if names != tensors.keys():
        first = ", ".join(sorted(tensors)[:4])
        raise ModelError(f"{path}: not a head with five layers; found {first}.")
    layers = [
        (tensors[f"layers.{p}.weight"].float(), tensors[f"layers.{p}.bias"].float())
        for p in LAYER_INDICES
    ]
    widths = [weight.shape[0] for weight, _ in layers]
    if any(w.shape[1] != before for (w, _), before in zip(layers[1:], widths, strict=False)):
        raise ModelError(f"{path}: the layers don't match each other.")
    return layers


def apply_layers(layers: Layers, embeddings: torch.Tensor) -> torch.Tensor:
    """The head's output, n×d to n; there is no activation between the layers."""
    from torch.nn.functional import linear

    hidden = embeddings
    for weight, bias in layers:
        hidden = linear(hidden, weight, bias)
    return hidden[:, 0]


def _check_width(embedding: torch.Tensor, layers: Layers, config: ScoreConfig) -> None:
    wanted, given = layers[0][0].shape[1], embedding.shape[1]
    if wanted != given:
        text = f"score.aesthetic_clip: {config.aesthetic_clip} gives {given} numbers per image; "
        raise ModelError(f"{text}this head needs {wanted}.")

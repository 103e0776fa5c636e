"""`aesthetic`: LAION's aesthetic predictor 2, a few layers on the CLIP ViT-L/14 embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.weights import DIGITS, read_tensors
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.base import SCORERS, Judged
from invdpo.curate.scorers.embeddings import OpenClip
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.files import hash_file

if TYPE_CHECKING:
    import torch

HEAD = "sac+logos+ava1-l14-linearMSE.pth"
LAYER_INDICES = (0, 2, 4, 6, 7)
"""Of the linear layers among the released ones; dropouts stand between, activations nowhere."""

Layers = list[tuple["torch.Tensor", "torch.Tensor"]]
"""Weight (out×in) and bias (out) of each layer."""


@SCORERS.register("aesthetic")
class AestheticScorer:
    """About 1..10, whatever the prompt."""

    name = "aesthetic"
    needs: Sequence[str] = (IMAGE,)
    higher_is_better = True

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._lock = Lock()

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
    def _clip(self) -> OpenClip:
        device = torch_device(self._config.device)
        return OpenClip(open_clip.load(self._source, device), device)

    @cached_property
    def _layers(self) -> Layers:
        layers = read_head(self._file)
        return [(w.to(self._clip.device), b.to(self._clip.device)) for w, b in layers]

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The picture as CLIP takes it."""
        with self._lock:
            clip = self._clip
        return clip.pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a case."""
        import torch
        from torch.nn.functional import linear

        ready = [candidate.prepared.pop(self.name, None) for candidate in candidates]
        pixels = [
            self.prepare(c) if r is None else r for c, r in zip(candidates, ready, strict=True)
        ]
        with torch.inference_mode():
            hidden = self._clip.images(torch.stack(pixels).to(self._clip.device))
            _check_width(hidden, self._layers, self._config)
            for weight, bias in self._layers:
                hidden = linear(hidden, weight, bias)
        return [Judged(value) for value in hidden[:, 0].double().tolist()]


def read_head(path: Path) -> Layers:
    """The layers of a released head. Raises `ModelError` when it is none."""
    return head_layers(read_tensors(path), path)


def head_layers(tensors: Mapping[str, torch.Tensor], path: Path) -> Layers:
    """The same of tensors that were read from `path`; ImageReward's head has this form, too."""
    names = {f"layers.{index}.{kind}" for index in LAYER_INDICES for kind in ("weight", "bias")}
    if names != tensors.keys():
        names_found = ", ".join(sorted(tensors)[:4])
        raise ModelError(f"{path}: no head of five layers; found {names_found}.")
    layers = [
        (tensors[f"layers.{p}.weight"].float(), tensors[f"layers.{p}.bias"].float())
        for p in LAYER_INDICES
    ]
    widths = [weight.shape[0] for weight, _ in layers]
    if any(w.shape[1] != before for (w, _), before in zip(layers[1:], widths, strict=False)):
        raise ModelError(f"{path}: the layers don't fit each other.")
    return layers


def _check_width(embedding: torch.Tensor, layers: Layers, config: ScoreConfig) -> None:
    wanted, given = layers[0][0].shape[1], embedding.shape[1]
    if wanted != given:
        text = f"score.aesthetic_clip: {config.aesthetic_clip} gives {given} numbers a picture; "
        raise ModelError(f"{text}this head takes {wanted}.")

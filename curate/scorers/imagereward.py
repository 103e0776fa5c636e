"""`imagereward`: ImageReward (arXiv 2304.05977), BLIP with a head trained on people's rankings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.candidate import IMAGE, PROMPT, Candidate
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.checkpoints.model_files import ModelFiles, checkpoint_files, processor_files
from invdpo.curate.checkpoints.tokens import too_long
from invdpo.curate.checkpoints.weights import (
    DIGITS,
    Weights,
    find_file,
    find_weights,
    hash_checkpoint,
    read_tensors,
)
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.aesthetic import Layers, apply_layers, head_layers
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.curate.scorers.blip import HEAD, Blip, build
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.text import describe_error

if TYPE_CHECKING:
    import torch

REPOSITORY = "THUDM/ImageReward"
WEIGHTS, CONFIG = "ImageReward.pt", "med_config.json"
MEAN, STD = 0.16717362830052426, 1.0333394966054072
MAX_TOKENS = 35
"""Texts are padded or truncated to this length."""


class _Model(NamedTuple):
    blip: Blip
    layers: Layers
    tokenizer: Any
    device: str


@SCORERS.register("imagereward")
class ImageRewardScorer(Scorer):
    """About -2..2, standardised over the authors' data; compares images of one prompt."""

    name = "imagereward"
    needs: Sequence[str] = (IMAGE, PROMPT)

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._model = LoadOnce(self._load)

    @cached_property
    def revision(self) -> str:
        """Hash of the checkpoint, and the tokenizer with its revision."""
        weights = f"imagereward sha256:{hash_checkpoint(*self._wanted(WEIGHTS))[:DIGITS]}"
        return f"{weights} tokenizer={self._tokenizer_weights.identifier}"

    @cached_property
    def _tokenizer_weights(self) -> Weights:
        return find_weights(self._config.imagereward_tokenizer, "score.imagereward_tokenizer")

    def _wanted(self, name: str) -> tuple[str | None, str, str, str]:
        """One of the two files, as `find_file` is asked for it."""
        folder = self._config.imagereward_folder
        path = str(Path(folder) / name) if folder else None
        return path, REPOSITORY, name, "score.imagereward_folder"

    def _file(self, name: str) -> Path:
        return find_file(*self._wanted(name))

    def model_files(self) -> list[ModelFiles]:
        """The checkpoint with its configuration, and the tokenizer."""
        files = [checkpoint_files(*self._wanted(name)[:3]) for name in (WEIGHTS, CONFIG)]
        return [*files, processor_files(self._tokenizer_weights)]

    def _load(self) -> _Model:
        path = self._file(WEIGHTS)
        tensors = read_tensors(path)
        device = torch_device(self._config.device)
        blip = build(tensors, self._file(CONFIG), path)
        blip = blip._replace(vision=blip.vision.to(device), text=blip.text.to(device))
        head = {n.removeprefix(HEAD): v for n, v in tensors.items() if n.startswith(HEAD)}
        layers = [(w.to(device), b.to(device)) for w, b in head_layers(head, path)]
        return _Model(blip, layers, self._load_tokenizer(), device)

    def _load_tokenizer(self) -> Any:
        """BERT's; the two words that BLIP adds are in no prompt."""
        from transformers import AutoTokenizer

        weights = self._tokenizer_weights
        try:
            return AutoTokenizer.from_pretrained(weights.location, **weights.options)
        except Exception as error:
            text = f"score.imagereward_tokenizer: {weights.name}: can't be loaded"
            raise ModelError(f"{text} ({describe_error(error)}).") from error

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The middle of the image, 3×size×size, as CLIP takes it."""
        from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as transform

        size = self._model().blip.size
        resized: Any = transform.resize(candidate.image, [size], InterpolationMode.BICUBIC)
        pixels = transform.to_tensor(transform.center_crop(resized, [size, size]))
        normalized: torch.Tensor = transform.normalize(
            pixels, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        )
        return normalized

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One reward a candidate."""
        import torch

        model = self._model()
        pixels = torch.stack(self.take_prepared(candidates))
        prompts = [candidate.prompt for candidate in candidates]
        cut = too_long(model.tokenizer, prompts, MAX_TOKENS)
        tokens = model.tokenizer(
            prompts,
            padding="max_length",
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            states = model.blip.encode_images(pixels.to(model.device))
            rewards = apply_layers(model.layers, model.blip.encode_texts(tokens, states))
        pairs = zip(rewards.double().tolist(), cut, strict=True)
        return [Judged((reward - MEAN) / STD, cut=is_cut) for reward, is_cut in pairs]

"""`imagereward`: ImageReward (arXiv 2304.05977), BLIP with a head trained on people's rankings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.candidate import IMAGE, PROMPT, Candidate
from invdpo.curate.checkpoints.weights import DIGITS, Weights, find_file, find_weights, read_tensors
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.aesthetic import Layers, head_layers
from invdpo.curate.scorers.base import SCORERS, Judged
from invdpo.curate.scorers.blip import HEAD, Blip, build
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.text import describe_error

if TYPE_CHECKING:
    import torch

REPOSITORY = "THUDM/ImageReward"
WEIGHTS, CONFIG = "ImageReward.pt", "med_config.json"
MEAN, STD = 0.16717362830052426, 1.0333394966054072
TOKENS = 35
"""Texts are padded or cut to this length."""


class _Model(NamedTuple):
    blip: Blip
    layers: Layers
    tokenizer: Any
    device: str


@SCORERS.register("imagereward")
class ImageRewardScorer:
    """About -2..2, standardised over the authors' data; compares pictures of one prompt."""

    name = "imagereward"
    needs: Sequence[str] = (IMAGE, PROMPT)
    higher_is_better = True

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._lock = Lock()
        self._loaded: _Model | None = None

    @cached_property
    def revision(self) -> str:
        """Hash of the checkpoint, and the tokenizer with its revision."""
        weights = f"imagereward sha256:{hash_file(self._file(WEIGHTS))[:DIGITS]}"
        return f"{weights} tokenizer={self._words.identifier}"

    @cached_property
    def _words(self) -> Weights:
        return find_weights(self._config.imagereward_tokenizer, "score.imagereward_tokenizer")

    def _file(self, name: str) -> Path:
        folder = self._config.imagereward_folder
        path = str(Path(folder) / name) if folder else None
        return find_file(path, REPOSITORY, name, "score.imagereward_folder")

    @property
    def _model(self) -> _Model:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> _Model:
        path = self._file(WEIGHTS)
        tensors = read_tensors(path)
        device = torch_device(self._config.device)
        blip = build(tensors, self._file(CONFIG), path)
        blip = blip._replace(vision=blip.vision.to(device), text=blip.text.to(device))
        head = {n.removeprefix(HEAD): v for n, v in tensors.items() if n.startswith(HEAD)}
        layers = [(w.to(device), b.to(device)) for w, b in head_layers(head, path)]
        return _Model(blip, layers, self._tokenizer(), device)

    def _tokenizer(self) -> Any:
        """BERT's, with BLIP's two more words, which no prompt holds."""
        from transformers import AutoTokenizer

        words = self._words
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(words.location, **words.options)
        except Exception as error:
            text = f"score.imagereward_tokenizer: {words.name}: can't be loaded"
            text = f"{text} ({describe_error(error)})."
            raise ModelError(text) from error
        return tokenizer

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The middle of the picture, 3×size×size, as CLIP takes it."""
        from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as change

        size = self._model.blip.size
        resized: Any = change.resize(candidate.image, [size], InterpolationMode.BICUBIC)
        pixels = change.to_tensor(change.center_crop(resized, [size, size]))
        made: torch.Tensor = change.normalize(pixels, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
        return made

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One reward a case."""
        import torch
        from torch.nn.functional import linear

        model = self._model
        ready = [candidate.prepared.pop(self.name, None) for candidate in candidates]
        pixels = [
            self.prepare(c) if r is None else r for c, r in zip(candidates, ready, strict=True)
        ]
        tokens = model.tokenizer(
            [candidate.prompt for candidate in candidates],
            padding="max_length",
            truncation=True,
            max_length=TOKENS,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            hidden = model.blip.read(tokens, model.blip.look(torch.stack(pixels).to(model.device)))
            for weight, bias in model.layers:
                hidden = linear(hidden, weight, bias)
        return [Judged((value - MEAN) / STD) for value in hidden[:, 0].double().tolist()]

"""`vqascore`: the chance that a vision-language model says yes (VQAScore, arXiv 2404.01291).

Any image-text-to-text model of transformers. The score is the probability, over the whole
vocabulary, that the answer to "Does this figure show …?" begins with the first token of "Yes".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.batching import Failure
from invdpo.curate.candidate import IMAGE, PROMPT, Candidate
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.checkpoints.model_files import ModelFiles, transformers_files
from invdpo.curate.checkpoints.weights import Weights, find_weights
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded
from invdpo.schemas.plugins import require

if TYPE_CHECKING:
    import torch

ANSWER = "Yes"
ONE_BEGINNING = "bos=1"
"""In the revision of models whose questions had two tokens of beginning in earlier tables."""


class _Model(NamedTuple):
    network: Any
    processor: Any
    device: str
    answer: int
    """The first token of the answer."""


def question(prompt: str) -> str:
    """The question; the prompt is inserted unchanged, whatever characters it holds."""
    return 'Does this figure show "' + prompt + '"? Please answer yes or no.'


@SCORERS.register("vqascore")
class VqaScorer(Scorer):
    """0..1. Raises `ModelError` or `PluginError` in the first call if the model can't be loaded."""

    name = "vqascore"
    needs: Sequence[str] = (IMAGE, PROMPT)

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._processor = LoadOnce(self._load_processor)
        self._model = LoadOnce(self._load)

    @cached_property
    def revision(self) -> str:
        """Model with revision, and its precision; the processor is loaded, and no weights."""
        revision = f"{self._weights.identifier} {self._config.vqascore_dtype}"
        return f"{revision} {ONE_BEGINNING}" if self._begins_itself else revision

    @cached_property
    def _weights(self) -> Weights:
        return find_weights(self._config.vqascore_model, "score.vqascore_model")

    def model_files(self) -> list[ModelFiles]:
        """The configured model."""
        return [transformers_files(self._weights)]

    def _load_processor(self) -> Any:
        from transformers import AutoProcessor

        with self._reported():
            return AutoProcessor.from_pretrained(self._weights.location, **self._weights.options)

    def _load(self) -> _Model:
        import torch
        from transformers import AutoModelForImageTextToText

        with self._reported():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                self._weights.location,
                use_safetensors=True,
                output_loading_info=True,
                dtype=getattr(torch, self._config.vqascore_dtype),
                **self._weights.options,
            )
        processor = self._processor()
        network, info = loaded
        check_loaded(self._weights.name, info)
        # A decoder continues the question, so all questions must end at the same position; for an
        # encoder the text must follow the image directly.
        processor.tokenizer.padding_side = "left" if _decoder_start(network) is None else "right"
        answer = processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"][0]
        device = torch_device(self._config.device)
        return _Model(network.to(device).eval(), processor, device, answer)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Errors of loading in our words."""
        try:
            with quiet_libraries():
                yield
        except Exception as error:
            if any(package in str(error).lower() for package in ("sentencepiece", "tiktoken")):
                require("sentencepiece", "vlm", f"the tokenizer of {self._weights.name}")
            text = (
                f"{self._weights.name}: not an image-text-to-text model ({describe_error(error)})."
            )
            raise ModelError(text) from error

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged | Failure]:
        """One probability a candidate; a `Failure` if the prompt has the model's image token."""
        word = str(getattr(self._model().processor, "image_token", None) or "")
        refused = [bool(word) and word in candidate.prompt for candidate in candidates]
        accepted = [c for c, is_refused in zip(candidates, refused, strict=True) if not is_refused]
        chances = iter(self._chances(accepted) if accepted else ())
        failure = Failure(f"the prompt holds {word!r}, this model's word for an image")
        return [failure if is_refused else Judged(next(chances)) for is_refused in refused]

    def _chances(self, candidates: Sequence[Candidate]) -> list[float]:
        import torch

        model = self._model()
        own_beginning = {"add_special_tokens": False} if self._begins_itself else {}
        with quiet_libraries():
            inputs = model.processor(
                images=[candidate.image for candidate in candidates],
                text=[self._conversation(candidate.prompt) for candidate in candidates],
                padding=True,
                return_tensors="pt",
                **own_beginning,
            ).to(model.device)
        inputs = {
            name: value.to(model.network.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            chances = self._first_token(inputs).float().softmax(dim=-1)[:, model.answer]
        values: list[float] = chances.double().tolist()
        return values

    def _conversation(self, prompt: str) -> str:
        """The question in the form that the model was trained on."""
        processor = self._processor()
        if not getattr(processor, "chat_template", None):
            return f"{self._image_word()}{question(prompt)}"
        content = [{"type": "image"}, {"type": "text", "text": question(prompt)}]
        turns = [{"role": "user", "content": content}]
        return str(processor.apply_chat_template(turns, add_generation_prompt=True))

    @cached_property
    def _begins_itself(self) -> bool:
        """Whether the chat template writes the token that the tokenizer would begin with."""
        tokenizer = self._processor().tokenizer
        begin = tokenizer.bos_token_id
        tokens = tokenizer(self._conversation(""))["input_ids"]
        return begin is not None and tokens[:2] == [begin, begin]

    def _image_word(self) -> str:
        """The word that stands for the image, if the processor does not insert it itself."""
        processor = self._processor()
        word = getattr(processor, "image_token", None)
        return f"{word}\n" if word and not hasattr(processor, "num_query_tokens") else ""

    def _first_token(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Logits of the answer's first token, n×vocabulary."""
        import torch

        network = self._model().network
        start = _decoder_start(network)
        if start is None:
            logits: torch.Tensor = network(**inputs).logits[:, -1]
            return logits
        start_ids = torch.full((len(inputs["input_ids"]), 1), start, device=self._model().device)
        first: torch.Tensor = network(**inputs, decoder_input_ids=start_ids).logits[:, -1]
        return first


def _decoder_start(network: Any) -> int | None:
    """The first token of a separate decoder; None for models that continue the text."""
    parts = (network.config.get_text_config(), network.config)
    if not any(getattr(part, "is_encoder_decoder", False) for part in parts):
        return None
    names = ("decoder_start_token_id", "pad_token_id")
    tokens = (getattr(part, name, None) for name in names for part in parts)
    return next((int(token) for token in tokens if token is not None), 0)

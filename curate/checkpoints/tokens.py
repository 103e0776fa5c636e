"""Which texts are longer than a text encoder allows, and so are truncated by the libraries."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from invdpo.schemas.io.logs import quiet_libraries


def too_long(tokenizer: Any, texts: Sequence[str], length: int) -> list[bool]:
    """For each text whether it has more tokens, those at begin and end included."""
    with quiet_libraries():
        tokens = tokenizer(list(texts), verbose=False)["input_ids"]
    return [len(ids) > length for ids in tokens]


class PromptLengths:
    """The lengths that the text encoders of a pipeline of diffusers take, called with `options`."""

    def __init__(self, pipeline: Any, options: Mapping[str, Any] | None = None) -> None:
        asked = (options or {}).get("max_sequence_length")
        self._tokenizers = [*_tokenizers(pipeline, asked)]
        self._known: dict[str, bool] = {}

    def is_cut(self, prompt: str) -> bool:
        """Whether at least one of the encoders gets less than the full prompt."""
        if prompt not in self._known:
            pairs = self._tokenizers
            self._known[prompt] = any(too_long(one, [prompt], length)[0] for one, length in pairs)
        return self._known[prompt]


def _tokenizers(pipeline: Any, asked: int | None) -> Iterator[tuple[Any, int]]:
    """Each with the tokens that it keeps: CLIP's own length, or what the pipeline asks for."""
    known = inspect.signature(type(pipeline).__call__).parameters
    default = known["max_sequence_length"].default if "max_sequence_length" in known else None
    asked = asked or (default if isinstance(default, int) else None)
    for name, part in pipeline.components.items():
        if name.startswith("tokenizer") and part is not None:
            is_clip = "CLIP" in type(part).__name__
            yield part, part.model_max_length if is_clip or asked is None else asked

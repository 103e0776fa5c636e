"""The parser on spaCy: sentences on the real model if it is installed, the error if not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from invdpo.curate.prompts.reader import PromptReader
from invdpo.curate.prompts.spacy_parser import MODEL, SpacyParser
from invdpo.schemas import PluginError
from invdpo.schemas.config.prompts import PromptsConfig

installed = pytest.mark.skipif(find_spec(MODEL) is None, reason="needs the extra spacy")


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    return SpacyParser()


@installed
@pytest.mark.parametrize(
    ("prompt", "items", "triples"),
    [
        ("A woman is playing the piano.", {"woman", "piano"}, {("woman", "playing", "piano")}),
        ("A photo of a bench and a dog", {"bench", "dog"}, set()),
        (
            "A river is flowing through a canyon.",
            {"river", "canyon"},
            {("river", "flowing through", "canyon")},
        ),
        (
            "The red mug was on top of the green coaster.",
            {"red mug", "green coaster"},
            {("mug", "above", "coaster")},
        ),
        (
            "A man is holding a microphone and singing a song.",
            {"singing a song man", "microphone"},
            {("man", "holding", "microphone")},
        ),
        ("A person is grinning in excitement.", {"grinning in excitement person"}, set()),
        (
            "The brown leaves covered the grey sidewalk.",
            {"brown leaves", "grey sidewalk"},
            {("leaves", "covering", "sidewalk")},
        ),
        (
            "A person is sitting on a bench and reading a book.",
            {"person", "bench", "book"},
            {("person", "sitting on", "bench"), ("person", "reading", "book")},
        ),
        ("A dog chased a cat.", {"dog", "cat"}, {("dog", "chasing", "cat")}),
        ("A cat chased by a dog", {"cat", "dog"}, {("dog", "chasing", "cat")}),
        (
            "The sleek fish swam through the water.",
            {"sleek fish", "water"},
            {("fish", "swimming through", "water")},
        ),
        (
            "The colorful hot air balloon floated near the dark clouds.",
            {"colorful floating hot air balloon", "dark clouds"},
            {("hot air balloon", "near", "clouds")},
        ),
        ("A toy drum set and a crystal-clear lake", {"toy drum set", "crystal-clear lake"}, set()),
        (
            "A writer is typing on a laptop at a desk.",
            {"writer", "laptop", "desk"},
            {("writer", "typing on", "laptop"), ("writer", "at", "desk")},
        ),
        (
            "A woman is holding a bouquet of flowers and smiling.",
            {"smiling woman", "bouquet of flowers"},
            {("woman", "holding", "bouquet of flowers")},
        ),
        (
            "A woman is baking a cake with love and enjoying the mood.",
            {"enjoying the mood woman", "cake"},
            {("woman", "baking", "cake")},
        ),
        (
            "A couple is watching a movie on the couch.",
            {"watching a movie couple", "couch"},
            {("couple", "on", "couch")},
        ),
        (
            "The bright red rose contrasted with the grey wall.",
            {"bright red rose", "grey wall"},
            {("rose", "contrasting with", "wall")},
        ),
        ("The fur of the cat was wet as it slept.", None, None),
        ("A dog is not barking.", None, None),
    ],
)
def test_sentences(
    parser: SpacyParser,
    prompt: str,
    items: set[str] | None,
    triples: set[tuple[str, str, str]] | None,
) -> None:
    graph = parser.parse(prompt)
    assert (graph and {item.phrase for item in graph.items}) == items
    assert (graph and graph.triples()) == triples


@installed
def test_its_fingerprint_names_rules_and_model() -> None:
    reader = PromptReader(PromptsConfig(parser="rules+spacy"))
    assert reader.fingerprint()["parser"].startswith("rules+spacy 4 2 en_core_web_sm 3.8")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"invdpo\[spacy\]"):
        PromptReader(PromptsConfig(parser="spacy"))

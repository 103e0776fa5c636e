"""The rules over dependencies, on trees written by hand."""

from __future__ import annotations

import pytest

from invdpo.curate.scene_graphs.dependencies import read_sentence
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.verbs import gerund
from invdpo.schemas import SceneGraph

POS = {"N": "NOUN", "V": "VERB", "J": "ADJ", "I": "ADP", "D": "DET", "P": "PRON", "M": "NUM"}


def read(text: str) -> SceneGraph | None:
    """Tokens written as `text/lemma/tag/dep/head`."""
    tokens = []
    for word in text.split():
        form, lemma, tag, dep, head = word.split("/")
        pos = "AUX" if dep in ("aux", "auxpass") else POS.get(tag[0], "X")
        tokens.append(Token(form, lemma or form, tag, pos, dep, int(head)))
    return read_sentence(tokens)


def words(graph: SceneGraph | None) -> tuple[list[str], set[tuple[str, str, str]]]:
    assert graph is not None
    return [item.phrase for item in graph.items], graph.triples()


WOMAN = "A/a/DT/det/1 woman//NN/nsubj/3 is/be/VBZ/aux/3 "


@pytest.mark.parametrize(
    ("text", "items", "triples"),
    [
        (
            WOMAN + "riding/ride/VBG/ROOT/3 her//PRP$/poss/6 brown//JJ/amod/6 horse//NN/dobj/3",
            ["woman", "brown horse"],
            {("woman", "riding", "horse")},
        ),
        (
            WOMAN + "giving/give/VBG/ROOT/3 a//DT/det/5 speech//NN/dobj/3",
            ["giving a speech woman"],
            set(),
        ),
        (
            WOMAN + "looking/look/VBG/ROOT/3 at//IN/prep/3 two//MD/nummod/6 dogs/dog/NNS/pobj/4",
            ["woman", "dog", "dog"],
            {("woman", "looking at", "dog")},
        ),
        (
            "A//DT/det/1 dog//NN/nsubjpass/3 is/be/VBZ/auxpass/3 held/hold/VBN/ROOT/3 "
            "by//IN/agent/3 a//DT/det/6 man//NN/pobj/4",
            ["dog", "man"],
            {("man", "holding", "dog")},
        ),
        (
            "A//DT/det/2 red//JJ/amod/2 apple//NN/ROOT/2 and//CC/cc/2 "
            "a//DT/det/6 green//JJ/amod/6 pear//NN/conj/2",
            ["red apple", "green pear"],
            set(),
        ),
        (
            "The//DT/det/1 cat//NN/nsubj/2 sat/sit/VBD/ROOT/2 on//IN/prep/2 the//DT/det/5 "
            "chair//NN/pobj/3",
            ["cat", "chair"],
            {("cat", "on", "chair")},
        ),
    ],
)
def test_a_sentence_is_read(
    text: str, items: list[str], triples: set[tuple[str, str, str]]
) -> None:
    assert words(read(text)) == (items, triples)


@pytest.mark.parametrize(
    "text",
    [
        WOMAN + "not//RB/neg/4 smiling/smile/VBG/ROOT/4",
        "It/it/PRP/nsubj/1 rains/rain/VBZ/ROOT/1",
        WOMAN + "riding/ride/VBG/ROOT/3 a//DT/det/5 horse//NN/dobj/3 why//RB/strange/3",
    ],
)
def test_a_sentence_with_anything_else_has_no_graph(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("lemma", "form"),
    [
        ("ride", "riding"),
        ("run", "running"),
        ("lie", "lying"),
        ("see", "seeing"),
        ("play", "playing"),
        ("eat", "eating"),
        ("visit", "visiting"),
    ],
)
def test_predicates_are_gerunds(lemma: str, form: str) -> None:
    assert gerund(Token(lemma, lemma, "VBD", "VERB", "ROOT", 0)) == form

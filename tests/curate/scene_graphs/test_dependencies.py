"""The rules over dependencies, on trees written by hand."""

from __future__ import annotations

import pytest

from invdpo.curate.scene_graphs.dependencies import read_sentence
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.verbs import gerund
from invdpo.schemas import SceneGraph

POS = {"N": "NOUN", "V": "VERB", "J": "ADJ", "I": "ADP", "D": "DET", "P": "PRON", "W": "PRON"}


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


MAN = "A//DT/det/1 man//NN/nsubj/3 is/be/VBZ/aux/3 "
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
    ("text", "items", "triples"),
    [
        (
            "The//DT/det/1 texture//NN/nsubj/5 of//IN/prep/1 the//DT/det/4 carpet//NN/pobj/2 "
            "is/be/VBZ/ROOT/5 rough//JJ/acomp/5 and//CC/cc/6 old//JJ/conj/6",
            ["rough old carpet"],
            set(),
        ),
        (
            "A//DT/det/1 man//NN/ROOT/1 who//WP/nsubj/4 is/be/VBZ/aux/4 riding/ride/VBG/relcl/1 "
            "a//DT/det/6 horse//NN/dobj/4",
            ["man", "horse"],
            {("man", "riding", "horse")},
        ),
        (
            MAN + "holding/hold/VBG/ROOT/3 a//DT/det/5 cat//NN/dobj/3 and//CC/cc/3 "
            "petting/pet/VBG/conj/3 it//PRP/dobj/7",
            ["man", "cat"],
            {("man", "holding", "cat"), ("man", "petting", "cat")},
        ),
        (
            "A//DT/det/1 cup//NN/ROOT/1 of//IN/prep/1 coffee//NN/pobj/2",
            ["cup of coffee"],
            set(),
        ),
        (
            MAN + "holding/hold/VBG/ROOT/3 a//DT/det/5 ball//NN/dobj/3 and//CC/cc/3 "
            "looking/look/VBG/conj/3 at//IN/prep/7 the//DT/det/10 ball//NN/pobj/8",
            ["man", "ball"],
            {("man", "holding", "ball"), ("man", "looking at", "ball")},
        ),
        (
            "A//DT/det/1 woman//NN/poss/3 's//POS/case/1 hat//NN/ROOT/3",
            ["hat", "woman"],
            {("hat", "of", "woman")},
        ),
        (
            "A//DT/det/1 cup//NN/ROOT/1 placed/place/VBN/acl/1 on//IN/prep/2 a//DT/det/5 "
            "table//NN/pobj/3",
            ["cup", "table"],
            {("cup", "on", "table")},
        ),
        (
            "There//EX/expl/1 is/be/VBZ/ROOT/1 a//DT/det/3 dog//NN/attr/1 on//IN/prep/1 "
            "a//DT/det/6 chair//NN/pobj/4",
            ["dog", "chair"],
            {("dog", "on", "chair")},
        ),
        (
            "A//DT/det/1 dog//NN/nsubj/3 is/be/VBZ/aux/3 running/run/VBG/ROOT/3 out//IN/prep/3 "
            "of//IN/prep/4 a//DT/det/7 house//NN/pobj/5",
            ["dog", "house"],
            {("dog", "running out of", "house")},
        ),
        (
            "A//DT/det/1 mug//NN/ROOT/1 on//IN/prep/1 top//NN/pobj/2 of//IN/prep/3 a//DT/det/6 "
            "table//NN/pobj/4",
            ["mug", "table"],
            {("mug", "above", "table")},
        ),
        (MAN + "smiling/smile/VBG/ROOT/3", ["smiling man"], set()),
        (
            MAN + "trying/try/VBG/ROOT/3 to//TO/aux/5 eat//VB/xcomp/3",
            ["trying to eat man"],
            set(),
        ),
        (
            MAN + "standing/stand/VBG/ROOT/3 in//IN/prep/3 silence//NN/pobj/4",
            ["standing in silence man"],
            set(),
        ),
        (
            "A//DT/det/1 man//NN/ROOT/1 in//IN/prep/1 silence//NN/pobj/2",
            ["in silence man"],
            set(),
        ),
        (
            "The//DT/det/1 dog//NN/nsubj/2 is/be/VBZ/ROOT/2 an//DT/det/4 idea//NN/attr/2",
            ["dog"],
            set(),
        ),
    ],
)
def test_pronouns_owners_and_what_stands_without_another_thing(
    text: str, items: list[str], triples: set[tuple[str, str, str]]
) -> None:
    assert words(read(text)) == (items, triples)


@pytest.mark.parametrize(
    "text",
    [
        "quickly//RB/ROOT/0",
        "An//DT/det/1 idea//NN/ROOT/1",
        MAN + "petting/pet/VBG/ROOT/3 him//PRP/dobj/3",
        MAN + "holding/hold/VBG/ROOT/3 dogs/dog/NNS/dobj/3 and//CC/cc/3 they//PRP/nsubj/8 "
        "are/be/VBP/aux/8 running/run/VBG/conj/3",
        "A//DT/det/1 hand//NN/ROOT/1 in//IN/prep/1 hand//NN/pobj/2",
        "A//DT/det/1 dog//NN/ROOT/1 ,//,/punct/1 a//DT/det/4 cat//NN/appos/1",
        "Riding/ride/VBG/ROOT/0 a//DT/det/2 horse//NN/dobj/0",
        "A//DT/det/1 dog//NN/nsubj/2 is/be/VBZ/ROOT/2 a//DT/det/4 cat//NN/attr/2",
        "A//DT/det/1 man//NN/nsubj/2 is/be/VBZ/ROOT/2 diving//NN/attr/2",
        "50//CD/nummod/1 dogs/dog/NNS/ROOT/1",
        MAN + "trying/try/VBG/ROOT/3 to//TO/aux/5 eat//VB/xcomp/3 singing/sing/VBG/conj/5",
        MAN + "trying/try/VBG/ROOT/3 to//TO/aux/5 eat//VB/xcomp/3 so//RB/npadvmod/5 "
        "very//RB/npadvmod/5 much//RB/npadvmod/5 more//RB/npadvmod/5 now//RB/npadvmod/5 "
        "than//RB/npadvmod/5",
    ],
)
def test_what_is_not_understood(text: str) -> None:
    """An unseen thing, a pronoun for nobody, a second activity, too many of them or of words."""
    assert read(text) is None


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

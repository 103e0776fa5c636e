"""What authors of plug-ins get wrong first is told in a line, and never paired."""

from __future__ import annotations

from typing import Any

import pytest

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators import Annotator
from invdpo.curate.candidate import Candidate
from invdpo.curate.score import Score
from invdpo.curate.scorers import Judged, Scorer
from invdpo.schemas import PluginError
from invdpo.schemas.config.load import resolve_config

HERE = "tests.curate.test_plugin_answers"


class Idle(Annotator):
    needs, revision = ("prompt",), "1"

    def __init__(self, config: Any) -> None: ...

    def __call__(self, candidates: Any) -> Any:
        return [None for _ in candidates]


class Few(Scorer):
    needs: Any = ("prompt",)
    revision: Any = "1"

    def __init__(self, config: Any) -> None: ...

    def __call__(self, candidates: Any) -> Any:
        return []


class Many(Few):
    def __call__(self, candidates: Any) -> Any:
        return [Judged(1.0), Judged(2.0)]


class Plain(Few):
    def __call__(self, candidates: Any) -> Any:
        return [1.0 for _ in candidates]


class Empty(Few):
    score: Any = None

    def __call__(self, candidates: Any) -> Any:
        return [Judged(self.score) for _ in candidates]


class Numbered(Empty):
    revision: Any = 1


class Needless(Few):
    needs = None


class Pictures(Few):
    needs = ("images",)


class Closed(Scorer):
    needs, revision = ("prompt",), "1"

    def __call__(self, candidates: Any) -> Any: ...


def rows(kind: type[Score | Annotate], name: str) -> list[Any]:
    given = {"score": {"scorers": [f"{HERE}:{name}"]}, "annotate": {"annotators": [f"{HERE}:Idle"]}}
    config = resolve_config([], given)
    section: Any = config.score if kind is Score else config.annotate
    return list(kind(name, section)([Candidate({"candidate_id": "a", "prompt": "four"})]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Few", r"^Few: gave 0 answers to 1 candidate; expected one for each, in order\.$"),
        ("Many", "^Many: gave 2 answers to 1 candidate"),
        ("Plain", r"^Plain: found an answer of type float; expected Judged, or Failure with the"),
        ("Numbered", r"^Numbered: its `revision` is 1; expected a text\.$"),
        ("Needless", "Needless'.*: its `needs` is None; expected a tuple of names: any of image, "),
        ("Pictures", r"Pictures'.*: its `needs` is \('images',\); expected a tuple of names"),
        ("Closed", r"Closed'.*: can't be made \(TypeError: Closed\(\) takes no arguments\)\.$"),
    ],
)
def test_a_scorer_with_a_fault_is_refused(name: str, text: str) -> None:
    with pytest.raises(PluginError, match=text):
        rows(Score, name)


def test_an_annotation_that_is_no_graph_is_refused() -> None:
    with pytest.raises(PluginError, match="Idle: found an answer of type NoneType; expected Scene"):
        rows(Annotate, "Idle")


def test_a_score_that_is_no_number_is_a_rejected_row() -> None:
    [row] = rows(Score, "Empty")
    assert (row["status"], row["error"]) == ("rejected", "the score is None, which is no number")

"""`composition`: how well the observed scene graph agrees with what the prompt asks for.

The score is the share of intended facts that hold. Beside it are SG-IoU, Entity-IoU and
Relation-IoU of LAION-SG (arXiv 2412.08580): |A ∩ B| / |A ∪ B| of two sets of strings that match
exactly, A from the intended graph and B from the observed one. These ignore attributes and
multiplicity. An annotator that states every relation in both directions can't reach an SG-IoU of 1
on graphs that state some relations only; that is how the metric is defined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set

from invdpo.curate.candidate import GRAPH, OBSERVED, Candidate
from invdpo.curate.scene_graphs.matching import Assignment, Fact, facts
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.score import ScoreConfig


@SCORERS.register("composition")
class CompositionScorer(Scorer):
    """Share of the intended facts that hold in the observed scene graph, 0..1."""

    name = "composition"
    needs: Sequence[str] = (GRAPH, OBSERVED)

    def __init__(self, config: ScoreConfig) -> None:
        """Only the annotator's name counts, for the revision."""
        self._annotator = config.annotator

    @property
    def revision(self) -> str:
        """Raised whenever the rules give another figure for the same graphs.

        Since 2 relations count from either end. `shapes` and `detector` state them from the end
        that is asked for, so the figures of their graphs, and their tables, stay as they are.
        """
        return "1" if self._annotator in ("shapes", "detector") else "2"

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """`satisfied` as the score, the other figures of `composition` as its components."""
        return [self._judge(candidate) for candidate in candidates]

    def _judge(self, candidate: Candidate) -> Judged:
        figures = composition(candidate.graph, candidate.observed_graph)
        return Judged(figures.pop("satisfied"), figures)


def composition(intended: SceneGraph, observed: SceneGraph) -> dict[str, float]:
    """All figures of agreement, 0..1 each; both graphs must have no `problems()`.

    `satisfied`: share of intended facts that hold, the score; `attributes`, `counts`: the same of
    attribute facts and of count facts, 1 if there are none; `all_right`: 1 if every fact holds, so
    nothing else is in the image either; three IoUs, of labels, predicates and triples.
    """
    judged, _ = facts(intended, observed)
    return {
        "satisfied": _share(judged),
        "entity_iou": _iou(
            {item.label for item in intended.items}, {item.label for item in observed.items}
        ),
        "relation_iou": _iou(
            {r.relation for r in intended.relations}, {r.relation for r in observed.relations}
        ),
        "sg_iou": _iou(intended.triples(), observed.triples()),
        "attributes": _share(fact for fact in judged if fact.kind == "attribute"),
        "counts": _share(fact for fact in judged if fact.kind in ("count", "total")),
        "all_right": float(all(fact.holds for fact in judged)),
    }


def _share(judged: Iterable[Fact]) -> float:
    holds = [fact.holds for fact in judged]
    return sum(holds) / len(holds) if holds else 1.0


def _iou(a: Set[Hashable], b: Set[Hashable]) -> float:
    """|A ∩ B| / |A ∪ B|, 0..1; 0 if the union is empty."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def wrong_facts(intended: SceneGraph, observed: SceneGraph) -> list[str]:
    """What is wrong in plain words, the most basic first; empty if the image is exactly right.

    What follows from a missing object, such as its relations, is left out.
    """
    judged, chosen = facts(intended, observed)
    wrong = [fact for fact in judged if not fact.holds]
    lines = [
        *_missing_objects(intended, judged, chosen),
        *_wrong_attributes(observed, wrong, chosen),
        *_wrong_counts(intended, observed),
        *_wrong_relations(intended, wrong, chosen),
    ]
    return list(dict.fromkeys(lines))


def _missing_objects(intended: SceneGraph, judged: list[Fact], chosen: Assignment) -> Iterator[str]:
    """Phrases of which no object is there; too few of one label are a wrong count."""
    unlike = {fact.items[0] for fact in judged if fact.kind == "attribute" and not fact.holds}
    phrases = {i.phrase for i in intended.items if i.item_id in chosen and i.item_id not in unlike}
    for item in intended.items:
        if item.item_id not in chosen and item.phrase not in phrases:
            yield f"no {item.phrase}"


def _wrong_attributes(observed: SceneGraph, wrong: list[Fact], chosen: Assignment) -> Iterator[str]:
    for fact in wrong:
        if fact.kind == "attribute" and fact.items[0] in chosen:
            item = observed.item(chosen[fact.items[0]])
            looks = f"{', '.join(item.attributes)}, " if item.attributes else ""
            yield f"{item.label} is {looks}not {fact.detail}"


def _wrong_counts(intended: SceneGraph, observed: SceneGraph) -> Iterator[str]:
    wanted = Counter(item.label for item in intended.items)
    seen = Counter(item.label for item in observed.items)
    for label, n in wanted.items():
        if seen[label] not in (0, n):
            yield f"{seen[label]} {label}{'' if seen[label] == 1 else 's'}, asked for {n}"
    extra = [item for item in observed.items if item.label not in wanted]
    yield from (f"{item.phrase} not asked for" for item in extra)


def _wrong_relations(intended: SceneGraph, wrong: list[Fact], chosen: Assignment) -> Iterator[str]:
    for fact in wrong:
        if fact.kind == "relation" and all(item in chosen for item in fact.items):
            subject, target = (intended.item(item).phrase for item in fact.items)
            yield f"{subject} is not {fact.detail} {target}"

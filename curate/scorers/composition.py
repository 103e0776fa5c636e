"""`composition`: how far the observed scene graph is what the prompt asked for.

Beside it SG-IoU, Entity-IoU and Relation-IoU as LAION-SG defines them (arXiv 2412.08580). Each is
|A ∩ B| / |A ∪ B| of two sets of strings that match exactly, 0 if the union is empty; A from the
intended graph, B from the observed one. Attributes and multiplicity are ignored there.

The sets are full sets. An annotator that states every relation in both directions therefore can't
reach an SG-IoU of 1 on graphs that state only some relations; that is the metric, kept literally.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set

from invdpo.curate.candidate import GRAPH, OBSERVED, Candidate
from invdpo.curate.scene_graphs.matching import Assignment, Fact, facts
from invdpo.curate.scorers.base import SCORERS, Judged
from invdpo.schemas import Item, SceneGraph
from invdpo.schemas.config.score import ScoreConfig


def composition(intended: SceneGraph, observed: SceneGraph) -> dict[str, float]:
    """All figures of agreement, 0..1 each; both graphs must have no `problems()`.

    `satisfied`: share of intended facts that hold (`facts`), the score; `attributes`, `counts`:
    the same of attribute facts and of count facts, 1 where none is stated; `all_right`: 1 when
    every fact holds, so nothing else is there either; the three IoUs as in `overlap`.
    """
    judged, _ = facts(intended, observed)
    return {
        "satisfied": _share(judged),
        "entity_iou": entity_iou(intended, observed),
        "relation_iou": relation_iou(intended, observed),
        "sg_iou": sg_iou(intended, observed),
        "attributes": _share(fact for fact in judged if fact.kind == "attribute"),
        "counts": _share(fact for fact in judged if fact.kind in ("count", "total")),
        "all_right": float(all(fact.holds for fact in judged)),
    }


def wrong_facts(intended: SceneGraph, observed: SceneGraph) -> list[str]:
    """What is wrong in plain words, most basic first; empty when the picture is exactly right.

    What follows from a missing object (its relations, say) is not told again.
    """
    judged, chosen = facts(intended, observed)
    wrong = [fact for fact in judged if not fact.holds]
    lines = [
        *_missing(intended, judged, chosen),
        *_attributes(intended, observed, wrong, chosen),
        *_counts(intended, observed),
        *_relations(intended, wrong, chosen),
    ]
    return list(dict.fromkeys(lines))


def _share(judged: Iterable[Fact]) -> float:
    holds = [fact.holds for fact in judged]
    return sum(holds) / len(holds) if holds else 1.0


def _missing(intended: SceneGraph, judged: list[Fact], chosen: Assignment) -> Iterator[str]:
    """Objects of which there is none; too few of one kind is told by its count."""
    unlike = {fact.items[0] for fact in judged if fact.kind == "attribute" and not fact.holds}
    phrases = {i.phrase for i in intended.items if i.item_id in chosen and i.item_id not in unlike}
    for item in intended.items:
        if item.item_id not in chosen and item.phrase not in phrases:
            yield f"no {item.phrase}"


def _attributes(
    intended: SceneGraph, observed: SceneGraph, wrong: list[Fact], chosen: Assignment
) -> Iterator[str]:
    for fact in wrong:
        if fact.kind == "attribute" and fact.items[0] in chosen:
            seen = observed.item(chosen[fact.items[0]])
            looks = f"{', '.join(seen.attributes)}, " if seen.attributes else ""
            yield f"{seen.label} is {looks}not {fact.detail}"


def _counts(intended: SceneGraph, observed: SceneGraph) -> Iterator[str]:
    asked = Counter(item.label for item in intended.items)
    seen = Counter(item.label for item in observed.items)
    for label, n in asked.items():
        if seen[label] not in (0, n):
            yield f"{seen[label]} {label}{'' if seen[label] == 1 else 's'}, asked for {n}"
    extra: list[Item] = [item for item in observed.items if item.label not in asked]
    yield from (f"{item.phrase} not asked for" for item in extra)


def _relations(intended: SceneGraph, wrong: list[Fact], chosen: Assignment) -> Iterator[str]:
    for fact in wrong:
        if fact.kind == "relation" and all(item in chosen for item in fact.items):
            first, second = (intended.item(item).phrase for item in fact.items)
            yield f"{first} is not {fact.detail} {second}"


@SCORERS.register("composition")
class CompositionScorer:
    """Share of the intended facts that the observed scene graph satisfies, 0..1."""

    name = "composition"
    needs: Sequence[str] = (GRAPH, OBSERVED)
    higher_is_better = True
    revision = "1"
    """Raised whenever the rules give another figure for the same graphs."""

    def __init__(self, config: ScoreConfig) -> None:
        """Takes the configuration like every scorer, and needs nothing of it."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """`satisfied` as the score, the other figures of `composition` as its components."""
        return [self._judge(candidate) for candidate in candidates]

    def _judge(self, candidate: Candidate) -> Judged:
        figures = composition(candidate.graph, candidate.observed_graph)
        return Judged(figures.pop("satisfied"), figures)


def iou(a: Set[Hashable], b: Set[Hashable]) -> float:
    """|A ∩ B| / |A ∪ B|, 0..1; 0 if the union is empty."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def sg_iou(intended: SceneGraph, observed: SceneGraph) -> float:
    """Overlap of (subject label, predicate, object label)."""
    return iou(intended.triples(), observed.triples())


def entity_iou(intended: SceneGraph, observed: SceneGraph) -> float:
    """Overlap of object labels."""
    return iou({item.label for item in intended.items}, {item.label for item in observed.items})


def relation_iou(intended: SceneGraph, observed: SceneGraph) -> float:
    """Overlap of predicates."""
    return iou({r.relation for r in intended.relations}, {r.relation for r in observed.relations})

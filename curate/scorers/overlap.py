"""SG-IoU, Entity-IoU and Relation-IoU as LAION-SG defines them (arXiv 2412.08580).

Each is |A ∩ B| / |A ∪ B| of two sets of strings that match exactly, 0 if the union is empty; A
from the intended graph, B from the observed one. Attributes and multiplicity are ignored there.

The sets are full sets. An annotator that states every relation in both directions therefore can't
reach an SG-IoU of 1 on graphs that state only some relations; that is the metric, kept literally.
"""

from __future__ import annotations

from collections.abc import Hashable, Set

from invdpo.schemas import SceneGraph


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

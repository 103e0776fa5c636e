"""Relations that say the same when both their ends are exchanged."""

from __future__ import annotations

CONVERSE = {
    "right of": "left of",
    "below": "above",
    "behind": "in front of",
    "next to": "next to",
    "near": "near",
}
"""A relation -> the one that says the same the other way round, which is told in its place."""

Fact = tuple[str, str, str]
"""Subject, relation, object."""


def one_way(fact: Fact) -> Fact:
    """The same fact in the direction in which facts are compared: B right of A is A left of B."""
    subject, relation, target = fact
    converse = CONVERSE.get(relation)
    if converse is None or (converse == relation and subject <= target):
        return fact
    return target, converse, subject

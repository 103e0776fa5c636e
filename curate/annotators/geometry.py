"""Relations that two boxes decide, by the rule that T2I-CompBench published (arXiv 2307.06350).

One thing is left of another when its centre is, the centres lie further apart across than along,
and the boxes overlap by less than `MOST_OVERLAP` (intersection over union); above and below
likewise. Things are near each other when their centres are less than `NEAR` apart across or along.
That is the released evaluation's rule where it gives full marks; half marks count as no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from invdpo.schemas.graph import Box

MOST_OVERLAP = 0.1
NEAR = 150 / 479
"""Of the longer side: 150 pixels of the 479 to which the released evaluation scales pictures."""
Size = tuple[int, int]
"""Width and height in pixels."""


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1; 0 for boxes without area."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    along = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, along)
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _offset(one: Box, other: Box, size: Size) -> tuple[float, float]:
    """From the first centre to the second, right and down, in units of the longer side."""
    longest = max(size)
    across = (other[0] + other[2] - one[0] - one[2]) / 2
    along = (other[1] + other[3] - one[1] - one[3]) / 2
    return across * size[0] / longest, along * size[1] / longest


def direction(one: Box, other: Box, size: Size) -> str | None:
    """Where the first thing is, seen from the second; None where the rule can't tell."""
    across, along = _offset(one, other, size)
    if abs(across) == abs(along) or overlap(one, other) >= MOST_OVERLAP:
        return None
    if abs(across) > abs(along):
        return "left of" if across > 0 else "right of"
    return "above" if along > 0 else "below"


def near(one: Box, other: Box, size: Size) -> bool:
    """Whether two things are next to each other."""
    return any(abs(distance) < NEAR for distance in _offset(one, other, size))


Rule = Callable[[Box, Box, Size], str | None]


def _nearness(name: str) -> Rule:
    return lambda one, other, size: name if near(one, other, size) else None


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("left of", "right of", "above", "below"), direction),
    "next to": _nearness("next to"),
    "near": _nearness("near"),
}
"""Predicate -> what tells which predicate of its kind holds; boxes can't tell any other."""

"""Counts how many images show exactly what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.shapes.shape_matching import BLOB
from invdpo.curate.shapes.vision import observe
from invdpo.schemas import SceneGraph


def kinds(graph: SceneGraph) -> Counter[str]:
    """How many objects of each kind a graph holds."""
    return Counter(item.phrase for item in graph.items)


def right(wanted: SceneGraph, image: NDArray[np.uint8]) -> tuple[bool, bool]:
    """Whether all objects are right, and whether all relations are true as well."""
    seen = observe(image)
    objects = kinds(wanted) == kinds(seen)
    named = [item for item in seen.items if item.label != BLOB]
    return objects, objects and len(named) == len(wanted.items) and wanted.facts() <= seen.facts()


def share(wanted: Sequence[SceneGraph], images: NDArray[np.uint8]) -> tuple[float, float]:
    """The fractions of images whose objects are right, and that are fully right."""
    verdicts = np.array([right(graph, image) for graph, image in zip(wanted, images, strict=True)])
    objects, full = verdicts.mean(axis=0)
    return float(objects), float(full)

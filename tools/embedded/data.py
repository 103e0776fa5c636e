"""Rendered scenes with captions, none of which shows a fact of another split.

Shapes: N scenes, H = W = 64 pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.shapes import world
from invdpo.curate.shapes.held_out import Split, split_of, visible_facts
from invdpo.curate.shapes.layout import PlacedObject, layout
from invdpo.curate.shapes.render import render
from invdpo.curate.shapes.scenes import sample_graph
from invdpo.schemas import SceneGraph


class Scenes(NamedTuple):
    """N scenes: what was asked for, where it was placed, and the image."""

    graphs: list[SceneGraph]
    places: list[tuple[PlacedObject, ...]]
    images: NDArray[np.uint8]
    """N×H×W×3."""

    @property
    def captions(self) -> list[str]:
        """The prompt of each scene."""
        return [world.caption(graph) for graph in self.graphs]


def make(split: Split, count: int, seed: int) -> Scenes:
    """Draw `count` scenes; in `train`, not even an unstated fact belongs to another split."""
    rng = np.random.default_rng(seed)
    drawn = [_scene(rng, split) for _ in range(count)]
    images = np.stack([render(places, rng) for _, places in drawn])
    return Scenes([graph for graph, _ in drawn], [places for _, places in drawn], images)


def _scene(rng: np.random.Generator, split: Split) -> tuple[SceneGraph, tuple[PlacedObject, ...]]:
    while True:
        graph = sample_graph(rng, split)
        places = layout(graph, rng)
        if split != "train" or all(split_of(fact) == "train" for fact in visible_facts(places)):
            return graph, places

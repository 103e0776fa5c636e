"""How much each position of a latent counts: positions inside boxes more than those outside.

Shapes: n boxes, H x W the latent. Boxes are fractions of the fitted image here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invdpo.schemas.graph import Box

Floats = NDArray[np.float64]


def position_weights(boxes: Sequence[Box], shape: Sequence[int], weight: float) -> Tensor:
    """(H, W) float64 of mean 1; a position wholly in a box counts `weight` times one outside."""
    relative = 1 + (weight - 1) * covered(boxes, shape)
    return torch.from_numpy(relative / relative.mean())


def covered(boxes: Sequence[Box], shape: Sequence[int]) -> Floats:
    """The share of each position's area that is in at least one box: (H, W), exact.

    The edges of all boxes and positions cut the latent into rectangles that are inside or outside.
    """
    edges = np.array(boxes, np.float64).reshape(len(boxes), 4)
    height, row, in_rows = _intervals(edges[:, 1::2], shape[0])
    width, column, in_columns = _intervals(edges[:, 0::2], shape[1])
    inside = (in_rows[:, :, None] & in_columns[:, None, :]).any(0)
    share = np.zeros(shape)
    np.add.at(share, (row[:, None], column), np.outer(height, width) * inside)
    return share


def _intervals(edges: Floats, count: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """One side of the latent, `count` positions long, cut into P intervals at the edges (n, 2).

    Their lengths (P,), in which position each is (P,), and in which boxes (n, P).
    """
    edges = (edges * count).clip(0, count)
    cuts = np.union1d(np.arange(count + 1), edges)
    middle = (cuts[1:] + cuts[:-1]) / 2
    inside = (edges[:, :1] < middle) & (middle < edges[:, 1:])
    return np.diff(cuts), middle.astype(np.int64), inside

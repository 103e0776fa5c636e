"""What a detector is asked, and its answer: boxes with labels, without duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from invdpo.schemas.graph import Box

if TYPE_CHECKING:
    import torch
    from PIL import Image

MAX_DETECTIONS = 40
"""Detections of an image that are kept, the most confident ones."""
DIGITS = 6


class DetectionQuery(NamedTuple):
    """One prepared image, and what to look for in it."""

    pixels: torch.Tensor
    """3×H×W, as the model takes it."""
    size: tuple[int, int]
    """Width and height of the image."""
    phrases: tuple[str, ...]


class RawBoxes(NamedTuple):
    """All boxes of an image before any is dropped: n boxes, k phrases."""

    boxes: torch.Tensor
    """n×4: x0, y0, x1, y1 as fractions of the image's sides; may reach beyond it."""
    logits: torch.Tensor
    """n×k; minus infinity where a box was not compared with a phrase."""


class Detector(Protocol):
    """A loaded model that finds what phrases name."""

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """An RGB image as the model takes it, 3×H×W; may be called from several threads."""
        ...

    def problem(self, phrase: str) -> str | None:
        """Why it can't look for this phrase; None if it can."""
        ...

    def detect(self, queries: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """All boxes of each query, in order; the same whatever an image is batched with."""
        ...


class Detection(NamedTuple):
    """One object that was found."""

    label: str
    box: Box
    confidence: float
    """0..1."""


def detections(
    raw: RawBoxes, labels: Sequence[str], threshold: float, nms: float
) -> list[Detection]:
    """Boxes above the threshold under their likeliest labels, the most confident first.

    Of boxes with one label that overlap by more than `nms`, the most confident one stays.
    """
    from torchvision.ops import batched_nms

    logits, names = raw.logits.max(dim=1)
    scores, boxes = logits.sigmoid(), raw.boxes.clamp(0, 1)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = ((scores > threshold) & (area > 0)).nonzero()[:, 0]
    boxes, scores, names = boxes[kept], scores[kept], names[kept]
    order = batched_nms(boxes, scores, names, nms)[:MAX_DETECTIONS].tolist()
    return [_detection(boxes[n].tolist(), scores[n].item(), labels[int(names[n])]) for n in order]


def _detection(box: list[float], score: float, label: str) -> Detection:
    x0, y0, x1, y1 = (round(edge, DIGITS) for edge in box)
    return Detection(label, (x0, y0, x1, y1), round(score, DIGITS))

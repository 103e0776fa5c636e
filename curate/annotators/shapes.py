"""`shapes`: reads the embedded world by classical vision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invdpo.curate.annotators.base import ANNOTATORS
from invdpo.schemas import SceneGraph

if TYPE_CHECKING:
    from PIL import Image


@ANNOTATORS.register("shapes")
class ShapesAnnotator:
    """Coloured shapes, their boxes and relations; knows nothing of the prompt."""

    name = "shapes"
    revision = "1"
    """Raised whenever the same picture would give another graph."""
    extra: str | None = None

    def __call__(self, images: Sequence[Image.Image]) -> list[SceneGraph]:
        """One graph a picture."""
        import numpy as np

        from invdpo.curate.shapes.vision import observe

        return [observe(np.asarray(image)) for image in images]

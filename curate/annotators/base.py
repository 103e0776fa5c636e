"""What an annotator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from invdpo.schemas import SceneGraph
from invdpo.schemas.plugins import Registry

if TYPE_CHECKING:
    from PIL import Image


class Annotator(Protocol):
    """Reads scene graphs off pictures; loads its model, if any, in the first call."""

    name: str
    revision: str
    """Which weights or rules give these graphs."""
    extra: str | None
    """The extra of this package that it needs."""

    def __call__(self, images: Sequence[Image.Image]) -> list[SceneGraph]:
        """What each RGB picture shows, in order. May raise when one of them can't be read."""
        ...


ANNOTATORS: Registry[Callable[[], Annotator]] = Registry("annotator")

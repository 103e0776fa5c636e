"""One row of a dataset, whatever its layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IMAGE_MISSING = "image missing"
PROMPT_MISSING = "prompt missing"
EQUAL = "chosen equals rejected"
UNREADABLE = "image unreadable"
TIE = "tie"
NO_SPLIT = "file names no split, others do"
OTHER_NAME = "split is there by another name, too"
NESTED = "folder inside is not searched"

GRAPHS = ("graph", "chosen_graph", "rejected_graph")
"""Columns with the scene graph that the prompt asks for, and those of both images, as JSON."""


@dataclass(frozen=True)
class Row:
    """A prompt and the encoded bytes of both images, or the reason why the row holds no pair."""

    where: str
    """File and row, for messages."""
    prompt: object = None
    chosen: bytes | None = None
    rejected: bytes | None = None
    pair_id: str | None = None
    exported_id: str | None = None
    """The id that `invdpo curate export` stored where the layout itself has none.

    An import takes it. The trainer does not: its states know such pairs by their content.
    """
    image_ids: tuple[object, object] = (None, None)
    """Of chosen and rejected, where the layout has some."""
    models: tuple[object, object] = (None, None)
    """That generated chosen and rejected, where the layout names them."""
    margin: float | None = None
    """How far the scores of both are apart, where the layout has it."""
    seeds: tuple[int | None, int | None] = (None, None)
    """Of chosen and rejected, where the layout has them."""
    revisions: tuple[str | None, str | None] = (None, None)
    """Of the models that generated chosen and rejected."""
    others: Mapping[str, object] = field(default_factory=dict)
    """Values of further columns, where somebody asked for them."""
    reason: str | None = None

    @property
    def skip_reason(self) -> str | None:
        """Why the row can't be used, as far as one sees without opening the images."""
        if self.reason:
            return self.reason
        if self.chosen is None or self.rejected is None:
            return IMAGE_MISSING
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            return PROMPT_MISSING
        return EQUAL if self.chosen == self.rejected else None

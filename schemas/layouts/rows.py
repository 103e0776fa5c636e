"""One row of a data set, whatever its layout."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_MISSING = "image missing"
PROMPT_MISSING = "prompt missing"
EQUAL = "chosen equals rejected"
UNREADABLE = "image unreadable"
TIE = "tie"


@dataclass(frozen=True)
class Row:
    """A prompt and the encoded bytes of both pictures, or the reason why it holds no pair."""

    where: str
    """For messages: file and row."""
    prompt: object = None
    chosen: bytes | None = None
    rejected: bytes | None = None
    pair_id: str | None = None
    reason: str | None = None

    @property
    def flaw(self) -> str | None:
        """Why the row can't be used, as far as one sees without opening the pictures."""
        if self.reason:
            return self.reason
        if self.chosen is None or self.rejected is None:
            return IMAGE_MISSING
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            return PROMPT_MISSING
        return EQUAL if self.chosen == self.rejected else None

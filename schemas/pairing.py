"""Options of the pairing."""

from __future__ import annotations

from pydantic import Field

from invdpo.schemas.section import LATER, Count, Section, Seed


class PairConfig(Section):
    """How scores become winner/loser pairs."""

    weights: dict[str, float] = Field(
        {"composition": 1.0, "clip": 0.25}, min_length=1, description="Weight of each scorer."
    )
    min_margin: float = Field(
        1.0, ge=0, allow_inf_nan=False,
        description="Least difference of combined scores, in standard deviations of the prompt.",
    )
    limits: dict[str, float] = Field(
        {}, description="Greatest raw score of a scorer, such as nsfw=0.8; candidates beyond it "
        "are left out.", json_schema_extra=LATER,
    )
    target_pairs: Count | None = Field(None, description="Exact number of pairs wanted.")
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="Share of the split groups held out for validation."
    )
    seed: Seed = Field(0, description="Seed that decides which groups are held out.")

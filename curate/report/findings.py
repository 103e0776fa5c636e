"""What `pairs.report.json` says, as types. Sections of other versions may lack or be unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.parts import maker
from invdpo.schemas import DataError

Matrix = list[list[float | None]]


class _Part(BaseModel):
    """Ignores what it does not know; whole sections may be absent, what a section holds may not."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Filter(_Part):
    """One filter: how many came and how many went on."""

    name: str
    before: int
    after: int
    unit: str


class Candidates(_Part):
    """Pictures that came into the pairing."""

    total: int
    usable: int
    dropped: dict[str, int]


class Prompts(_Part):
    """Prompts, and those that gave at least one pair."""

    total: int
    paired: int
    dropped: dict[str, int]


class Pairs(_Part):
    """Pairs by split, and those on which ranked scorers disagree."""

    total: int
    train: int
    validation: int
    in_conflict: int


class ScorerFindings(_Part):
    """How one scorer sees the pairs."""

    weight: float
    pairs: int
    chosen_mean: float | None
    rejected_mean: float | None
    difference_mean: float | None
    agree: int
    disagree: int
    ties: int
    agreement: float | None
    role: str | None = None
    tie_rate: float | None = None

    @property
    def part(self) -> str:
        """What it does in the choice; earlier reports tell only its weight."""
        return self.role or ("ranked" if self.weight else "unused")


class Agreement(_Part):
    """How far scorers agree, by pairs of scorers; None where it is not defined."""

    scorers: list[str]
    rank_correlation: Matrix
    disagreement: Matrix


class Stratum(_Part):
    """Prompts and pairs of one kind, and the share of pairs that was wanted of it."""

    prompts: int
    pairs: int
    wanted: float | None = None


class SplitFindings(_Part):
    """How prompts were held out for validation; all numbers are shares of the prompts."""

    by: str
    asked: float
    prompts_held_out: float
    largest_cluster: float


class Worst(_Part):
    """Ids of the pairs to distrust most, worst first."""

    least_margin: list[str] = []
    most_conflict: list[str] = []
    held_out_disagrees: list[str] = []


class Opinions(_Part):
    """On what share of the reviewed pairs the scores side with the person."""

    ranked: float | None = None
    scorers: dict[str, float | None] = {}


class Reviews(_Part):
    """What people decided on pairs; `missing` decisions are on pairs that are not there."""

    keep: int = 0
    flip: int = 0
    drop: int = 0
    missing: int = 0
    agreement: Opinions = Opinions()


class Findings(_Part):
    """The whole report."""

    config: dict[str, Any]
    candidates: Candidates
    prompts: Prompts
    pairs: Pairs
    margins: dict[str, float]
    scorers: dict[str, ScorerFindings]
    objects: dict[str, Stratum] = {}
    shortfall: str | None = None
    filters: list[Filter] | None = None
    agreement: Agreement | None = None
    strata: dict[str, dict[str, Stratum]] | None = None
    worst: Worst | None = None
    split: SplitFindings | None = None
    reviews: Reviews | None = None
    costs: dict[str, int] = {}
    """Threshold -> pairs that turning it off would add; where a target was missed."""

    @property
    def balance(self) -> dict[str, dict[str, Stratum]]:
        """Kind -> name -> stratum; earlier reports count objects only."""
        found = {"objects": self.objects} if self.strata is None else self.strata
        return {kind: strata for kind, strata in found.items() if strata}

    @property
    def steps(self) -> list[Filter]:
        """The filters in order; in earlier reports made from the reasons of what was dropped."""
        parts: dict[str, Candidates | Prompts] = {
            "candidates": self.candidates,
            "prompts": self.prompts,
        }
        if self.filters is None:
            return [s for u, part in parts.items() for s in _steps(u, part.total, part.dropped)]
        named = {step.unit for step in self.filters}
        idle = [s for u, part in parts.items() if u not in named for s in _steps(u, part.total, {})]
        return [*idle, *self.filters]


def read_findings(path: Path) -> Findings:
    """Read a report. Raises `DataError` naming the field when it is none."""
    with storage_errors(path):
        text = path.read_bytes()
    try:
        return Findings.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the text"
        found = f"{path}: no report of pairs: {field}: {first['msg']}."
        raise DataError(f"{found} Make it anew: {maker(path)} --overwrite") from None


def _steps(unit: str, total: int, dropped: dict[str, int]) -> list[Filter]:
    if not dropped:
        return [Filter(name="none dropped", before=total, after=total, unit=unit)]
    found, before = [], total
    for reason, count in dropped.items():
        found.append(Filter(name=reason, before=before, after=before - count, unit=unit))
        before -= count
    return found

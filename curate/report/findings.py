"""What `pairs.report.json` says, as types. Other versions may lack sections or have new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.parts import maker
from invdpo.schemas import DataError
from invdpo.schemas.io.documents import read_file

Matrix = list[list[float | None]]


class _Section(BaseModel):
    """Ignores unknown fields; sections may be absent, but a section must be complete."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Filter(_Section):
    """One filter: how many candidates, prompts or pairs came in, and how many it left."""

    name: str
    before: int
    after: int
    unit: str


class CandidateCounts(_Section):
    """Candidates, and those that could be ranked."""

    total: int
    usable: int
    dropped: dict[str, int]


class PromptCounts(_Section):
    """Prompts, and those with at least one pair."""

    total: int
    paired: int
    dropped: dict[str, int]


class PairCounts(_Section):
    """Pairs by split, and those on which ranked scorers disagree."""

    total: int
    train: int
    validation: int
    in_conflict: int


class ScorerFindings(_Section):
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
    def role_in_pairing(self) -> str:
        """Its role in the selection; earlier reports have only its weight."""
        return self.role or ("ranked" if self.weight else "unused")


class Agreement(_Section):
    """How far scorers agree, for each two scorers; None where it is undefined."""

    scorers: list[str]
    rank_correlation: Matrix
    disagreement: Matrix


class StratumFindings(_Section):
    """Prompts and pairs of one stratum, and the share of pairs that was wanted."""

    prompts: int
    pairs: int
    wanted: float | None = None


class SplitFindings(_Section):
    """How prompts were held out for validation; all numbers are shares of the prompts."""

    by: str
    asked: float
    prompts_held_out: float
    largest_cluster: float


class WorstPairs(_Section):
    """Ids of the pairs to distrust most, worst first."""

    least_margin: list[str] = []
    most_conflict: list[str] = []
    held_out_disagrees: list[str] = []


class ReviewAgreement(_Section):
    """The share of reviewed pairs on which scores agree with the person."""

    ranked: float | None = None
    scorers: dict[str, float | None] = {}


class ReviewFindings(_Section):
    """What people decided on pairs; `missing` counts decisions on pairs that were not proposed."""

    keep: int = 0
    flip: int = 0
    equal: int = 0
    drop: int = 0
    missing: int = 0
    agreement: ReviewAgreement = ReviewAgreement()


class Findings(_Section):
    """The complete report."""

    config: dict[str, Any]
    candidates: CandidateCounts
    prompts: PromptCounts
    pairs: PairCounts
    margins: dict[str, float]
    scorers: dict[str, ScorerFindings]
    objects: dict[str, StratumFindings] = {}
    shortfall: str | None = None
    filters: list[Filter] | None = None
    agreement: Agreement | None = None
    strata: dict[str, dict[str, StratumFindings]] | None = None
    worst: WorstPairs | None = None
    split: SplitFindings | None = None
    reviews: ReviewFindings | None = None
    costs: dict[str, int] = {}
    """Threshold -> pairs that turning it off would add; only where a target was missed."""

    @property
    def balance(self) -> dict[str, dict[str, StratumFindings]]:
        """Kind -> name -> stratum; earlier reports count objects only."""
        kinds = {"objects": self.objects} if self.strata is None else self.strata
        return {kind: strata for kind, strata in kinds.items() if strata}

    @property
    def steps(self) -> list[Filter]:
        """The filters in order; for earlier reports, the reasons of what was dropped."""
        units: dict[str, CandidateCounts | PromptCounts] = {
            "candidates": self.candidates,
            "prompts": self.prompts,
        }
        if self.filters is None:
            return [s for u, c in units.items() for s in _steps(u, c.total, c.dropped)]
        named = {step.unit for step in self.filters}
        unfiltered = [s for u, c in units.items() if u not in named for s in _steps(u, c.total, {})]
        return [*unfiltered, *self.filters]


def read_findings(path: Path) -> Findings:
    """Read a report. Raises `DataError` naming the field that is missing or wrong."""
    with storage_errors(path):
        content = read_file(path)
    try:
        return Findings.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the text"
        text = f"{path}: not a report of pairs: {field}: {first['msg']}."
        raise DataError(f"{text} Remake it: {maker(path)} --overwrite") from None


def _steps(unit: str, total: int, dropped: dict[str, int]) -> list[Filter]:
    if not dropped:
        return [Filter(name="none dropped", before=total, after=total, unit=unit)]
    steps, before = [], total
    for reason, count in dropped.items():
        steps.append(Filter(name=reason, before=before, after=before - count, unit=unit))
        before -= count
    return steps

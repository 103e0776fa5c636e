"""Checks of options and tables before pairs are chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.pool import check_unique
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.io.text import count_noun
from invdpo.schemas.tables import SCORES

NEEDED = ("candidate_id", "score", "status")
"""Columns of scores that pairs are chosen by."""
EXAMPLES = 3
"""Ids named in an error."""


def check_names(config: PairConfig, ranked: Collection[str], scores: Collection[str]) -> None:
    """Raise `ConfigError` listing every option that names a scorer without scores, and more."""
    known = ", ".join(sorted(scores)) or "none"
    named = [
        (key, name) for key in ("margins", "floors", "limits") for name in getattr(config, key)
    ]
    named += [("held_out", config.held_out)] if config.held_out else []
    problems = [
        f"pair.{key}: no scores of {name!r}; there are: {known}. "
        f"First run: invdpo curate score WORK --scorers {name}"
        for key, name in named
        if name not in scores
    ]
    problems += _ranked_problems(config, ranked)
    if problems:
        raise ConfigError("\n  ".join(problems))


def _ranked_problems(config: PairConfig, ranked: Collection[str]) -> Iterator[str]:
    names = ", ".join(ranked)
    if config.consensus is not None and config.consensus > len(ranked):
        yield (
            f"pair.consensus: {config.consensus} scorers can't agree; "
            f"{len(ranked)} are ranked: {names}."
        )
    if config.policy == "hard" and (config.hard_by not in ranked or len(ranked) < 2):
        yield (
            f"pair.hard_by: hard pairs need {config.hard_by!r} and another scorer among the "
            f"weights, which measures quality; there are: {names}."
        )


def check_size(config: PairConfig, candidates: pa.Table) -> None:
    """Raise `ConfigError` when more images are asked for than there are."""
    if config.target_images and config.target_images > len(candidates):
        raise ConfigError(
            f"pair.target_images: {config.target_images:,} different images requested, but there "
            f"are {count_noun(len(candidates), 'candidate')}. Generate more, or ask for fewer."
        )


def check_scores(candidates: pa.Table, scores: Mapping[str, pa.Table]) -> None:
    """Raise `DataError` for tables of scores that don't hold exactly the candidates, each once.

    Names for every table the candidates that it lacks, and its rows that are of no candidate.
    """
    for name, table in scores.items():
        check_unique(table, "candidate_id", f"scores of {name}")
    problems = [
        line for name, table in scores.items() for line in _differences(name, table, candidates)
    ]
    if problems:
        raise DataError("\n  ".join(["Tables of scores and candidates disagree.", *problems]))


def check_columns(name: str, table: pa.Table) -> None:
    """Raise `DataError` for columns that are missing or that no table of scores has."""
    columns = set(table.column_names)
    unknown, missing = sorted(columns - set(SCORES.names)), sorted(set(NEEDED) - columns)
    wrong = [f"unknown: {', '.join(unknown)}"] if unknown else []
    wrong += [f"missing: {', '.join(missing)}"] if missing else []
    if wrong:
        text = f"scores of {name}: columns {'; '.join(wrong)}. Expected: {', '.join(SCORES.names)}."
        raise DataError(f"{text} Remake it: invdpo curate score WORK --scorers {name} --overwrite")


def _differences(name: str, table: pa.Table, candidates: pa.Table) -> Iterator[str]:
    expected, scored = candidates["candidate_id"], table["candidate_id"]
    if expected.equals(scored):
        return
    for ids, others, noun, what in (
        (expected, scored, "candidate", "lack {}"),
        (scored, expected, "row", "have {} of no candidate"),
    ):
        extra = ids.filter(pc.invert(pc.is_in(ids, value_set=others.combine_chunks())))
        if len(extra):
            examples = ", ".join(extra.slice(0, EXAMPLES).to_pylist())
            more = ", …" if len(extra) > EXAMPLES else ""
            yield (
                f"scores of {name} {what.format(count_noun(len(extra), noun))} ({examples}{more}). "
                f"Remake them: invdpo curate score WORK --scorers {name} --overwrite"
            )

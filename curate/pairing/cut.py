"""`cut_pairs`: from scores to chosen/rejected pairs, without reading an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from invdpo.curate.pairing.assembly import assemble, pairs_table, read_prompt_strata
from invdpo.curate.pairing.checks import check_names, check_size
from invdpo.curate.pairing.ranking import apply_direction, normalise_weights
from invdpo.curate.pairing.report import Report, report
from invdpo.curate.pairing.reviews import last_decisions
from invdpo.curate.pairing.selection import PairingTables, Selection, select_pairs
from invdpo.schemas.config.pair import PairConfig


def cut_pairs(
    prompts: pa.Table,
    candidates: pa.Table,
    scores: Mapping[str, pa.Table],
    config: PairConfig,
    *,
    lower_is_better: Collection[str] = (),
    reviews: pa.Table | None = None,
) -> tuple[pa.Table, Report]:
    """Pairs by the policy and thresholds of `config`, and the report of how they came about.

    Each scorer is brought on a common scale, and weights are divided by the sum of their absolute
    values. Pairs come in the order of the prompts. `candidates` needs no images; `reviews` are
    applied when `config.reviews` says so. When a target or shares can't be met, all available pairs
    come back and the report says so under `shortfall` (`require_target` raises).

    Raises `ConfigError` for scorers that are not in `scores` and for impossible sizes, `DataError`
    for repeated ids and malformed reviews.
    """
    weights = apply_direction(normalise_weights(config.weights, scores), lower_is_better)
    check_names(config, weights, scores)
    check_size(config, candidates)
    tables = PairingTables(prompts, candidates, scores, lower_is_better)
    strata = read_prompt_strata(prompts, config)
    decisions = last_decisions(reviews if config.reviews else None)

    def select(changed: PairConfig) -> Selection:
        return select_pairs(tables, weights, changed, decisions, strata.split.straddling)

    pair_set = assemble(select(config), strata, config)
    pairs = pairs_table(pair_set, prompts)
    return pairs, report(pair_set, tables, config, pairs, select)

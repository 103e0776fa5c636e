"""`cut_pairs`: from scores to winner/loser pairs, without reading a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from invdpo.curate.pairing.assembly import assemble, read_prompt_strata, table_of
from invdpo.curate.pairing.checks import check_names, check_size
from invdpo.curate.pairing.ranking import directed, ranked
from invdpo.curate.pairing.report import Report, report
from invdpo.curate.pairing.reviews import Reviews
from invdpo.curate.pairing.selection import Selection, Tables, choose
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

    Each scorer is brought on a common scale, weights are divided by the sum of their absolute
    values. Pairs come in the order of the prompts. `candidates` needs no images; `reviews` are
    applied when `config.reviews` says so. When a target or shares can't be met all pairs that there
    are come back and the report says so under `shortfall` (`require_target` raises).

    Raises `ConfigError` for scorers that are not in `scores` and sizes that can't be, `DataError`
    for doubled ids and malformed reviews.
    """
    weights = directed(ranked(config.weights, scores), lower_is_better)
    check_names(config, weights, scores)
    check_size(config, candidates)
    tables = Tables(prompts, candidates, scores, lower_is_better)
    scenes = read_prompt_strata(prompts, config)
    decided = Reviews(reviews if config.reviews else None)

    def again(changed: PairConfig) -> Selection:
        return choose(tables, weights, changed, decided, scenes.split.straddling)

    cut = assemble(again(config), scenes, config)
    pairs = table_of(cut, prompts)
    return pairs, report(cut, tables, config, pairs, again)

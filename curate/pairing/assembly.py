"""The cut as a whole: the pairs that make up the set, out of those there are to choose from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.selection import Selection
from invdpo.curate.pairing.splits import (
    Combination,
    Split,
    by_fact,
    by_graph,
    by_prompt,
    combinations,
)
from invdpo.curate.pairing.target import Filled, fill
from invdpo.curate.scene_graphs.strata import read_graph, strata
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.tables import pairs_schema


class PromptStrata(NamedTuple):
    """What the graphs of p prompts decide."""

    strata: list[dict[str, str]]
    """Kind -> name, of every prompt."""
    split: Split


class PairSet(NamedTuple):
    """Everything the table and the report are written from."""

    choice: Selection
    filled: Filled
    pairs: Pairs
    """m pairs, by prompt."""
    ids: NDArray[np.object_]
    """Pair ids, m."""
    scenes: PromptStrata


def assemble(choice: Selection, scenes: PromptStrata, config: PairConfig) -> PairSet:
    """Take what target and shares ask for."""
    ids = choice.pairs.ids(choice.pool)
    of_pairs = [scenes.strata[row] for row in choice.pairs.prompt.tolist()] if config.shares else []
    filled = fill(ids, choice.pairs.pinned, of_pairs, config)
    pairs = choice.pairs.take(filled.kept)
    left = np.ones(len(scenes.strata), dtype=bool)
    left[pairs.prompt] = False
    choice.prompts.drop(left, filled.reason)
    return PairSet(choice, filled, pairs, ids[filled.kept], scenes)


def read_prompt_strata(prompts: pa.Table, config: PairConfig) -> PromptStrata:
    """Strata and split of every prompt; equal graphs are read once."""
    texts = prompts["graph"].combine_chunks().dictionary_encode()
    read = [*map(read_graph, texts.dictionary.to_pylist()), None]
    index = texts.indices.fill_null(len(read) - 1).to_pylist()
    found, stated = [*map(strata, read)], [*map(combinations, read)]
    return PromptStrata(
        [found[n] for n in index], _split(prompts, [stated[n] for n in index], config)
    )


def _split(prompts: pa.Table, stated: list[set[Combination]], config: PairConfig) -> Split:
    groups = pc.coalesce(prompts["split_group"], prompts["prompt_id"]).to_pylist()
    fraction, seed = config.validation_fraction, config.seed
    if config.split_by == "prompt":
        return by_prompt(groups, fraction, seed)
    rule = by_fact if config.split_by == "fact" else by_graph
    return rule(groups, stated, fraction, seed)


def table_of(cut: PairSet, prompts: pa.Table) -> pa.Table:
    """The table of pairs, in the order of the prompts."""
    pool, pairs = cut.choice.pool, cut.pairs
    deltas = {
        f"delta_{name}": pa.array(raw[pairs.chosen] - raw[pairs.rejected], from_pandas=True)
        for name, raw in pool.raw.items()
    }
    held = cut.scenes.split.held[pairs.prompt]
    columns = {
        "pair_id": cut.ids,
        "prompt_id": prompts["prompt_id"].take(pa.array(pairs.prompt)),
        "chosen_id": pool.ids[pairs.chosen],
        "rejected_id": pool.ids[pairs.rejected],
        "margin": pairs.margin,
        **deltas,
        "split": np.where(held, "validation", "train").astype(object),
    }
    return pa.table(columns, schema=pairs_schema(pool.raw))

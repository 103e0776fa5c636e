"""Puts the set together: the selected pairs that target and shares ask for, and their splits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.selection import Selection
from invdpo.curate.pairing.splits import (
    PromptSplit,
    groups_of_texts,
    split_by_fact,
    split_by_graph,
    split_by_prompt,
    stated_facts,
)
from invdpo.curate.pairing.target import TargetResult, apply_target
from invdpo.curate.scene_graphs.strata import strata
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.graph import Fact
from invdpo.schemas.tables import pairs_schema


class PromptStrata(NamedTuple):
    """What follows from the graphs of p prompts."""

    strata: list[dict[str, str]]
    """Kind -> name, of every prompt."""
    split: PromptSplit


class PairSet(NamedTuple):
    """Everything that the table and the report are written from."""

    selection: Selection
    target: TargetResult
    pairs: Pairs
    """m pairs, by prompt."""
    ids: NDArray[np.object_]
    """Pair ids, m."""
    prompts: PromptStrata


def assemble(selection: Selection, prompts: PromptStrata, config: PairConfig) -> PairSet:
    """Take what target and shares ask for."""
    pairs = selection.pairs
    ids = pairs.ids(selection.pool)
    of_pairs = [prompts.strata[row] for row in pairs.prompt.tolist()] if config.shares else []
    target = apply_target(ids, pairs.kept_by_review, of_pairs, config)
    pairs = pairs.take(target.kept)
    left_out = np.ones(len(prompts.strata), dtype=bool)
    left_out[pairs.prompt] = False
    selection.prompts.drop(left_out, target.reason)
    return PairSet(selection, target, pairs, ids[target.kept], prompts)


def read_prompt_strata(prompts: pa.Table, config: PairConfig) -> PromptStrata:
    """Strata and split of every prompt; equal graphs are read once."""
    graphs = prompts["graph"].combine_chunks().dictionary_encode()
    texts = [*graphs.dictionary.to_pylist(), None]
    index = graphs.indices.fill_null(len(texts) - 1).to_pylist()
    kinds, facts = [*map(strata, texts)], [*map(stated_facts, texts)]
    split = _split(prompts, [facts[n] for n in index], config)
    return PromptStrata([kinds[n] for n in index], split)


def _split(prompts: pa.Table, facts: list[set[Fact]], config: PairConfig) -> PromptSplit:
    own = pc.coalesce(prompts["split_group"], prompts["prompt_id"]).to_pylist()
    groups = groups_of_texts(own, prompts["prompt"].to_pylist())
    fraction, seed = config.validation_fraction, config.seed
    if config.split_by == "prompt":
        return split_by_prompt(groups, fraction, seed)
    rule = split_by_fact if config.split_by == "fact" else split_by_graph
    return rule(groups, facts, fraction, seed)


def pairs_table(pair_set: PairSet, prompts: pa.Table) -> pa.Table:
    """The table of pairs, in the order of the prompts."""
    pool, pairs = pair_set.selection.pool, pair_set.pairs
    deltas = {
        f"delta_{name}": pa.array(raw[pairs.chosen] - raw[pairs.rejected], from_pandas=True)
        for name, raw in pool.raw.items()
    }
    held_out = pair_set.prompts.split.held_out[pairs.prompt]
    columns = {
        "pair_id": pair_set.ids,
        "prompt_id": prompts["prompt_id"].take(pa.array(pairs.prompt)),
        "chosen_id": pool.ids[pairs.chosen],
        "rejected_id": pool.ids[pairs.rejected],
        "margin": pairs.margin,
        **deltas,
        "split": np.where(held_out, "validation", "train").astype(object),
    }
    return pa.table(columns, schema=pairs_schema(pool.raw))

"""The cut as a whole: the pairs that make up the set, out of those there are to choose from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing.choose import Choice
from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.splits import Combination, Split, by_graph, by_prompt, combinations
from invdpo.curate.pairing.strata import read_graph, strata
from invdpo.curate.pairing.target import Filled, fill
from invdpo.schemas.config import PairConfig
from invdpo.schemas.tables import pairs_schema


class Cut(NamedTuple):
    """Everything the table and the report are written from."""

    choice: Choice
    filled: Filled
    pairs: Pairs
    """m pairs, by prompt."""
    ids: NDArray[np.object_]
    """Pair ids, m."""
    strata: list[dict[str, str]]
    """Kind -> name, of every prompt."""
    split: Split


def assemble(choice: Choice, prompts: pa.Table, config: PairConfig) -> Cut:
    """Take what target and shares ask for, and decide which prompts are held out."""
    found, stated = read_scenes(prompts["graph"])
    ids = choice.pairs.ids(choice.pool)
    of_pairs = [found[row] for row in choice.pairs.prompt.tolist()] if config.shares else []
    filled = fill(ids, choice.pairs.pinned, of_pairs, config)
    pairs = choice.pairs.take(filled.kept)
    left = np.ones(len(prompts), dtype=bool)
    left[pairs.prompt] = False
    choice.prompts.drop(left, filled.reason)
    return Cut(choice, filled, pairs, ids[filled.kept], found, _split(prompts, stated, config))


def read_scenes(
    graphs: pa.ChunkedArray,
) -> tuple[list[dict[str, str]], list[set[Combination]]]:
    """Strata and combinations of every prompt; equal texts are read once."""
    texts = graphs.combine_chunks().dictionary_encode()
    read = [read_graph(text) for text in texts.dictionary.to_pylist()]
    found = [*map(strata, read), strata(None)]
    stated = [*map(combinations, read), combinations(None)]
    index = texts.indices.fill_null(len(read)).to_pylist()
    return [found[n] for n in index], [stated[n] for n in index]


def _split(prompts: pa.Table, stated: list[set[Combination]], config: PairConfig) -> Split:
    groups = pc.coalesce(prompts["split_group"], prompts["prompt_id"]).to_pylist()
    if config.split_by == "prompt":
        return by_prompt(groups, config.validation_fraction, config.seed)
    return by_graph(groups, stated, config.validation_fraction, config.seed)


def table_of(cut: Cut, prompts: pa.Table) -> pa.Table:
    """The table of pairs, in the order of the prompts."""
    pool, pairs = cut.choice.pool, cut.pairs
    deltas = {
        f"delta_{name}": pa.array(raw[pairs.chosen] - raw[pairs.rejected], from_pandas=True)
        for name, raw in pool.raw.items()
    }
    columns = {
        "pair_id": cut.ids,
        "prompt_id": prompts["prompt_id"].take(pa.array(pairs.prompt)),
        "chosen_id": pool.ids[pairs.chosen],
        "rejected_id": pool.ids[pairs.rejected],
        "margin": pairs.margin,
        **deltas,
        "split": np.where(cut.split.held[pairs.prompt], "validation", "train").astype(object),
    }
    return pa.table(columns, schema=pairs_schema(pool.raw))

"""What can be done to a dataset: a subset, another split, no doubles, corrections by reviewers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.exchange.base import ExchangeResult
from invdpo.curate.exchange.derive import FLIP, Operation, drop, iter_texts
from invdpo.curate.exchange.ours import SPLIT
from invdpo.curate.pairing.assembly import read_prompt_strata
from invdpo.curate.pairing.reviews import FLIPPED, LEFT_OUT, Decision, last_decisions
from invdpo.curate.prompts import split_group
from invdpo.curate.scene_graphs.strata import strata
from invdpo.schemas import ConfigError, DataError, SceneGraph
from invdpo.schemas.config.pair import STRATA, PairConfig
from invdpo.schemas.ids import content_id, derived_seed, prompt_key
from invdpo.schemas.io.text import count_noun, quote

CONDITION = re.compile(r"(?P<column>[^=<>!]+)(?P<sign>!=|<=|>=|==?|<|>)(?P<value>.*)", re.S)
COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
FACTS_OF_BOTH = "states facts of both splits"
DOUBLED = "an earlier row has this id"
KNOWN_PROMPT, KNOWN_PAIR = "prompt is in the other set", "pair is in the other set"


@dataclass(frozen=True)
class Condition:
    """One comparison that a row must pass: `margin>=2`, `relation=spatial`."""

    column: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises `ConfigError` for what is no condition."""
        match = CONDITION.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"--where: found {quote(text)}; expected COLUMN, one of {' '.join(COMPARE)}, and a "
                "value, such as relation=spatial or 'margin>=2'."
            )
        return cls(
            match["column"].strip(), match["sign"].replace("==", "="), match["value"].strip()
        )

    def __str__(self) -> str:
        return f"{self.column} {self.sign} {self.value}"

    def source(self, schema: pa.Schema) -> str | None:
        """The column that it looks at; the graph for strata, none for the split.

        Raises `DataError` for a column that isn't there, or is not plain.
        """
        if self.column in schema.names:
            kind = schema.field(self.column).type
            if pa.types.is_nested(kind) or pa.types.is_binary(kind):
                text = f"--where: column {self.column} is {kind}; "
                raise DataError(f"{text}only texts, numbers, true and false can be compared.")
            return self.column
        if self.column == "split" or (self.column in STRATA and "graph" in schema.names):
            return None if self.column == "split" else "graph"
        plain = [f.name for f in schema if not pa.types.is_nested(f.type)]
        made = ["split", *(STRATA if "graph" in schema.names else ())]
        raise DataError(
            f"--where: no column {quote(self.column)}; there are: {', '.join(plain)}; and "
            f"derived from them: {', '.join(name for name in made if name not in plain)}."
        )

    def fails(self, rows: pa.Table) -> pa.Array:
        """Whether each row does not pass; a row without value passes none."""
        values = self._values(rows)
        held = COMPARE[self.sign](values, self._typed(values.type))
        return pc.invert(pc.fill_null(held, False))

    def _values(self, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
        if self.column in rows.column_names:
            values = rows[self.column]
            return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values
        if self.column == "split":
            return rows[SPLIT]
        graphs = rows["graph"].combine_chunks().dictionary_encode()
        names = [strata(text)[self.column] for text in [*graphs.dictionary.to_pylist(), None]]
        index = pc.fill_null(graphs.indices, len(names) - 1)
        return pa.array(names, pa.string()).take(index)

    def _typed(self, kind: pa.DataType) -> pa.Scalar:
        try:
            return pa.scalar(self.value).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            text = f"--where {self}: column {self.column} is {kind}, and {quote(self.value)} is not"
            raise DataError(f"{text} of that type.") from None


def subset(where: Sequence[str], number: int | None, seed: int) -> Operation:
    """The rows for which all conditions hold; of these `number`, drawn by their ids and the seed.

    A larger number keeps all rows of a smaller one.
    """
    conditions = [Condition.parse(text) for text in where]

    def columns(schema: pa.Schema) -> list[str]:
        return [name for c in conditions if (name := c.source(schema))]

    def apply(rows: pa.Table, result: ExchangeResult) -> pa.Table:
        for condition in conditions:
            rows = drop(rows, condition.fails(rows), f"not {condition}", result)
        if number is None or not len(rows):
            return rows
        if number > len(rows):
            asked = count_noun(number, "pair")
            raise DataError(f"--number: {asked} requested, but there are only {len(rows):,}.")
        ids = rows["pair_id"].to_pylist()
        order = np.argsort([derived_seed("subset", seed, pair_id) for pair_id in ids])
        left_out = np.ones(len(rows), dtype=bool)
        left_out[order[:number]] = False
        return drop(rows, pa.array(left_out), "not selected", result)

    drawn = [f"{number:,} selected with seed {seed}"] if number else []
    words = " and ".join(["rows with " + " and ".join(map(str, conditions))] if where else [])
    words = ", ".join(filter(None, [words, *drawn])) or "all rows"
    facts = {"where": list(map(str, conditions)), "number": number, "seed": seed}
    return Operation("subset", words, facts, columns, apply)


def split(config: PairConfig) -> Operation:
    """Train and validation again, by the rule that `pair` splits by."""

    def apply(rows: pa.Table, result: ExchangeResult) -> pa.Table:
        keys = [content_id(*key) for key in zip(*_prompt_columns(rows), strict=True)]
        firsts = {key: row for row, key in reversed(list(enumerate(keys)))}
        prompts = _prompts(
            rows.take(pa.array(sorted(firsts.values()))), sorted(firsts, key=firsts.__getitem__)
        )
        found = read_prompt_strata(prompts, config).split
        index = {key: n for n, key in enumerate(prompts["prompt_id"].to_pylist())}
        of_row = np.array([index[key] for key in keys], dtype=np.int64)
        names = np.where(found.held_out, "validation", "train").astype(object)[of_row]
        at = rows.column_names.index(SPLIT)
        rows = rows.set_column(at, SPLIT, pa.array(names, pa.string()))
        return drop(rows, pa.array(found.straddling[of_row]), FACTS_OF_BOTH, result)

    facts = {"by": config.split_by, "fraction": config.validation_fraction, "seed": config.seed}
    words = f"split by {config.split_by}, {config.validation_fraction:.0%} for validation"
    return Operation("split", words, facts, lambda schema: ["prompt", "graph"], apply)


def _prompt_columns(rows: pa.Table) -> tuple[list[Any], list[Any]]:
    return rows["prompt"].to_pylist(), rows["graph"].to_pylist()


def _prompts(rows: pa.Table, ids: Sequence[str]) -> pa.Table:
    """A table of prompts as the pairing has it."""
    groups = [
        split_group(text, _graph(graph)) for text, graph in zip(*_prompt_columns(rows), strict=True)
    ]
    columns = {"prompt_id": ids, "split_group": groups}
    return pa.table({"prompt": rows["prompt"], "graph": rows["graph"], **columns})


def _graph(text: str | None) -> SceneGraph | None:
    try:
        return SceneGraph.from_json(text) if text else None
    except DataError:
        return None


@dataclass(frozen=True)
class KnownPairs:
    """What is in other sets."""

    prompts: Collection[str]
    """Keys of their texts."""
    pair_ids: Collection[str] = ()
    names: tuple[str, ...] = ()


def dedupe(known: KnownPairs, by: str) -> Operation:
    """Without rows whose id is in an earlier one, and those that are in other sets.

    By `prompt`, no prompt of the others stays, in whichever spelling; by `pair`, no pair of theirs.
    """
    if by not in ("prompt", "pair"):
        raise ConfigError(f"--by: found {quote(by)}; expected prompt or pair.")

    def apply(rows: pa.Table, result: ExchangeResult) -> pa.Table:
        ids = rows["pair_id"].to_pylist()
        firsts = {pair_id: n for n, pair_id in reversed(list(enumerate(ids)))}
        earlier = [firsts[pair_id] != n for n, pair_id in enumerate(ids)]
        rows = drop(rows, pa.array(earlier, pa.bool_()), DOUBLED, result)
        if by == "pair":
            doubled = [pair_id in known.pair_ids for pair_id in rows["pair_id"].to_pylist()]
            return drop(rows, pa.array(doubled, pa.bool_()), KNOWN_PAIR, result)
        keys = {text: prompt_key(text) for text in set(iter_texts(rows, "prompt"))}
        doubled = [keys[text] in known.prompts for text in iter_texts(rows, "prompt")]
        return drop(rows, pa.array(doubled, pa.bool_()), KNOWN_PROMPT, result)

    others = f" and without {by}s of {', '.join(known.names)}" if known.names else ""
    words, facts = f"each id once{others}", {"against": list(known.names), "by": by}
    return Operation("dedupe", words, facts, lambda schema: ["prompt"], apply, doubled_ids=True)


def correct(reviews: pa.Table) -> Operation:
    """Pairs as people decided on them: flipped, left out, or kept.

    The last decision on a pair or its flipped twin counts. Raises `DataError` for malformed ones.
    """
    last = last_decisions(reviews)

    def apply(rows: pa.Table, result: ExchangeResult) -> pa.Table:
        ids = rows["pair_id"].to_pylist()
        sides = zip(rows["rejected_id"].to_pylist(), rows["chosen_id"].to_pylist(), strict=True)
        twins = [content_id("pair", *reversed_sides) for reversed_sides in sides]
        decisions = [_decide(last, *both) for both in zip(ids, twins, strict=True)]
        if last and not any(decisions):
            raise DataError(
                f"--reviews: none of {len(last):,} decisions is about a pair of this dataset."
            )
        at = rows.column_names.index(FLIP)
        rows = rows.set_column(at, FLIP, pa.array([d == "flip" for d in decisions], pa.bool_()))
        for left_out, reason in LEFT_OUT.items():
            mask = pa.array([d == left_out for d in decisions], pa.bool_())
            rows = drop(rows, mask, reason, result)
            decisions = [d for d in decisions if d != left_out]
        return rows

    facts = {"reviews": content_id({key: value.decision for key, value in last.items()})}
    words = f"corrected by {count_noun(len(last), 'decision')} of reviewers"
    return Operation("correct", words, facts, lambda schema: ["chosen_id", "rejected_id"], apply)


def _decide(last: Mapping[str, Decision], pair_id: str, twin: str) -> str | None:
    """What the last decision on a pair or its twin means for the pair, if there is one."""
    found = [(last[key], key) for key in (pair_id, twin) if key in last]
    if not found:
        return None
    (_, decision), key = max(found)
    return FLIPPED.get(decision, decision) if key == twin != pair_id else decision

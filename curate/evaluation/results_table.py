"""One row for each model, prompt and image of an evaluation, as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.evaluation.results import BASE, TUNED, Evaluation, Outcome, Result
from invdpo.curate.storage.atomic import replacing
from invdpo.schemas.tables import Record


def write_results(path: Path, base: str, evaluations: Sequence[Evaluation]) -> None:
    """Write the outcomes of the base and of each tuned model, figures as columns of their own.

    A row names its image by candidate id and seed. Raises `WorkspaceError` when the file can't be
    written.
    """
    rows = [*_rows(BASE, base, evaluations[0].results)]
    for evaluation in evaluations:
        rows += _rows(TUNED, evaluation.tuned, evaluation.results)
    schema = _schema(dict.fromkeys(name for row in rows for name in row["figures"]))
    table = pa.Table.from_pylist([row | row["figures"] for row in rows], schema)
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _schema(figures: Iterable[str]) -> pa.Schema:
    return pa.schema(
        [
            ("role", pa.string()),  # base or tuned
            ("model", pa.string()),
            ("prompt_id", pa.string()),
            ("prompt", pa.string()),
            ("category", pa.string()),
            ("image", pa.int32()),  # of those of its prompt, from 0
            ("seed", pa.int64()),
            ("candidate_id", pa.string()),
            *((name, pa.float64()) for name in figures),
            ("wrong", pa.list_(pa.string())),
            ("errors", pa.map_(pa.string(), pa.string())),
        ]
    )


def _rows(role: str, model: str, results: Sequence[Result]) -> Iterator[Record]:
    for result in results:
        outcome: Outcome = result.base if role == BASE else result.tuned
        yield {
            "role": role,
            "model": model,
            "prompt_id": result.prompt_id,
            "prompt": result.prompt,
            "category": result.category,
            "image": result.number,
            "seed": outcome.seed,
            "candidate_id": outcome.candidate_id,
            "figures": outcome.figures,
            "wrong": list(outcome.wrong),
            "errors": list(outcome.errors.items()),
        }

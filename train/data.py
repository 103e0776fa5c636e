"""Reading preference pairs from a data-set folder, pictures only when they are needed."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id

COLUMNS = ("prompt", "chosen", "rejected")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pair:
    """One preference; its pictures stand for themselves by the hash of their bytes."""

    pair_id: str
    prompt: str
    chosen: str
    rejected: str
    row: str
    """Where it came from, for messages: file and row."""

    @property
    def images(self) -> tuple[str, str]:
        """Winner's and loser's image id."""
        return self.chosen, self.rejected


@dataclass
class Pairs:
    """The usable pairs of a split, and what was left out."""

    pairs: list[Pair] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason to count."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason to the first row it struck."""

    def skip(self, reason: str, row: str) -> None:
        """Count a row that can't be used."""
        self.skipped[reason] += 1
        self.examples.setdefault(reason, row)


def split_files(dataset: Path, split: str) -> list[Path]:
    """Parquet files of a split, under `data/` or in the folder itself."""
    return sorted([*dataset.glob(f"data/{split}-*.parquet"), *dataset.glob(f"{split}-*.parquet")])


def read_pairs(dataset: Path, split: str) -> Pairs:
    """All pairs of a split, images hashed but not decoded; none when there is no such file.

    Raises `DataError` for a file that is no Parquet or lacks columns.
    """
    found = Pairs()
    for row, record in _records(split_files(dataset, split)):
        chosen, rejected = (_bytes(record[side]) for side in SIDES)
        prompt = record["prompt"]
        if not chosen or not rejected:
            found.skip("image missing", row)
        elif not isinstance(prompt, str):
            found.skip("prompt missing", row)
        elif chosen == rejected:
            found.skip("chosen equals rejected", row)
        else:
            ids = image_id(chosen), image_id(rejected)
            pair_id = record.get("pair_id") or content_id(prompt, *ids)
            found.pairs.append(Pair(pair_id, prompt, *ids, row))
    return found


def read_images(dataset: Path, split: str, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """(image id, encoded bytes) of the wanted pictures, each once, a few rows in memory."""
    left = set(wanted)
    for _, record in _records(split_files(dataset, split)) if left else ():
        for side in SIDES:
            content = _bytes(record[side])
            if content and (name := image_id(content)) in left:
                left.remove(name)
                yield name, content


def decode(content: bytes) -> Image.Image:
    """The picture as RGB. Raises `OSError` or `ValueError` when it isn't one."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB")
    except (SyntaxError, Image.DecompressionBombError) as error:  # what Pillow also raises
        raise ValueError(str(error)) from None


def image_id(content: bytes) -> str:
    """32 hexadecimal digits over the encoded bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def _records(files: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                columns = _columns(path, file.schema_arrow)
                rows = (r for b in file.iter_batches(64, columns=columns) for r in b.to_pylist())
                for number, record in enumerate(rows):
                    yield f"{path.name} row {number}", record
        except (pa.ArrowException, OSError) as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{path}: not readable as Parquet ({first}). Make it again.") from None


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise DataError(
            f"{path}: column {', '.join(missing)} missing; found {', '.join(schema.names)}. "
            f"Training needs {', '.join(COLUMNS)}, the last two as images."
        )
    return [*COLUMNS, *(["pair_id"] if "pair_id" in schema.names else [])]


def _bytes(value: Any) -> bytes | None:
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) else None

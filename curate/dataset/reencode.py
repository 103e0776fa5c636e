"""Pictures of a table in another format, several at a time."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath

import pyarrow as pa

from invdpo.curate.dataset.exif import holds_metadata, without_metadata
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import IMAGE, SIDES, Record

KEEP = "keep"


def reencoded(table: pa.Table, config: DatasetConfig) -> pa.Table:
    """The table with both sides' pictures as asked for.

    Bytes that are kept lose EXIF and comments, if there are any; else the table is the same.
    Raises `DataError` naming the pair of a picture that can't be decoded.
    """
    if config.image_format == KEEP:
        return _clean(table)
    encode = partial(_encoded, config=config)
    with ThreadPoolExecutor() as pool:
        for side in SIDES:
            pictures, ids = table[side].to_pylist(), table["pair_id"].to_pylist()
            made = pa.array(pool.map(encode, pictures, ids), IMAGE)
            table = table.set_column(table.schema.get_field_index(side), side, made)
    return table


def _clean(table: pa.Table) -> pa.Table:
    """Nothing is copied, or even looked at twice, where no picture holds anything to drop."""
    for side in SIDES:
        column = table[side]
        found = (value.as_buffer() for chunk in column.chunks for value in chunk.field("bytes"))
        if any(data is not None and holds_metadata(memoryview(data)) for data in found):
            pictures = [picture and _stripped(picture) for picture in column.to_pylist()]
            place = table.schema.get_field_index(side)
            table = table.set_column(place, side, pa.array(pictures, IMAGE))
    return table


def _stripped(picture: Record) -> Record:
    data = picture["bytes"]
    return picture | {"bytes": data if data is None else without_metadata(data)}


def _encoded(picture: Record | None, pair_id: str, config: DatasetConfig) -> Record:
    picture = picture or {"bytes": None, "path": None}
    try:
        image = decode(picture["bytes"])
    except DataError as error:
        raise DataError(f"pair {pair_id}: {error}") from None
    lossy = {} if config.image_format == "png" else {"quality": config.quality}
    file = io.BytesIO()
    image.save(file, config.image_format.upper(), **lossy)
    path = PurePosixPath(picture["path"] or f"{pair_id}.")
    return {"bytes": file.getvalue(), "path": str(path.with_suffix(f".{config.image_format}"))}

"""The images of a table in another format, several at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from invdpo.curate.dataset.exif import holds_metadata, without_metadata
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import decode, image_suffix
from invdpo.schemas.tables import IMAGE, SIDES, Record

KEEP = "keep"


def reencode_images(table: pa.Table, config: DatasetConfig) -> pa.Table:
    """The table with both sides' images in the format of `config`.

    Bytes that are kept lose what stands beside their pixels, if anything does; else the table is
    the same. Images in another format are sRGB without a profile, as `decode` reads them. Raises
    `DataError` naming the pair of an image that can't be decoded.
    """
    if config.image_format == KEEP:
        return _without_metadata(table)
    encode = partial(_encode, config=config)
    with ThreadPoolExecutor() as pool:
        for side in SIDES:
            images, ids = table[side].to_pylist(), table["pair_id"].to_pylist()
            encoded = pa.array(pool.map(encode, images, ids), IMAGE)
            table = table.set_column(table.schema.get_field_index(side), side, encoded)
    return table


def _without_metadata(table: pa.Table) -> pa.Table:
    """Nothing is copied, or even looked at twice, where no image holds anything to drop."""
    for side in SIDES:
        column = table[side]
        if any(holds_metadata(data) for chunk in column.chunks for data in _views(chunk)):
            ids = table["pair_id"].to_pylist()
            images = [
                i and _strip(i, name) for i, name in zip(column.to_pylist(), ids, strict=True)
            ]
            index = table.schema.get_field_index(side)
            table = table.set_column(index, side, pa.array(images, IMAGE))
    return table


def _views(images: pa.StructArray) -> Iterator[memoryview]:
    """The bytes of each image that there is, where they are: values of an array are copies."""
    values = images.field("bytes")
    _, ends, data = values.buffers()
    found = np.frombuffer(ends, np.int32)[values.offset :][: len(values) + 1]
    whole = np.frombuffer(data or b"", np.uint8).data
    for there, (start, end) in zip(values.is_valid(), pairwise(found.tolist()), strict=True):
        if there.as_py():
            yield whole[start:end]


def _strip(image: Record, pair_id: str) -> Record:
    content, path = image["bytes"], image["path"]
    if content is None:
        return image
    try:
        clean = without_metadata(content)
    except DataError as error:
        raise DataError(f"pair {pair_id}: {error}") from None
    suffix = image_suffix(clean)
    if path and suffix != image_suffix(content):
        path = str(PurePosixPath(path).with_suffix(f".{suffix}"))
    return {"bytes": clean, "path": path}


def _encode(image: Record | None, pair_id: str, config: DatasetConfig) -> Record:
    image = image or {"bytes": None, "path": None}
    try:
        pixels = decode(image["bytes"])
    except DataError as error:
        raise DataError(f"pair {pair_id}: {error}") from None
    options = {} if config.image_format == "png" else {"quality": config.quality}
    file = io.BytesIO()
    pixels.save(file, config.image_format.upper(), **options)
    path = PurePosixPath(image["path"] or f"{pair_id}.")
    return {"bytes": file.getvalue(), "path": str(path.with_suffix(f".{config.image_format}"))}

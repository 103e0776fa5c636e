"""How the columns of a table are stored in Parquet, and what the Hub learns of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from invdpo.schemas.tables import IMAGE


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options of `pq.ParquetWriter`: an index of pages, their checksums, and nothing done in vain.

    Images are compressed already, so their bytes are stored as they are: without compression,
    without a dictionary, and without their smallest and greatest value in the statistics.
    """
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    plain = [name for name, kind in leaves if not pa.types.is_binary(kind)]
    return {
        "compression": {name: "SNAPPY" if name in plain else "NONE" for name, _ in leaves},
        "use_dictionary": plain,
        "write_statistics": plain,
        "write_page_index": True,
        "write_page_checksum": True,
    }


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The columns of a field as Parquet has them: name and type."""
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from _leaves(f"{name}.{inner.name}", inner.type)
    elif pa.types.is_map(kind):
        yield from _leaves(f"{name}.key_value.key", kind.key_type)
        yield from _leaves(f"{name}.key_value.value", kind.item_type)
    else:
        yield name, kind


def hub_columns(schema: pa.Schema) -> list[dict[str, str]]:
    """The columns as the dataset card's `dataset_info.features` lists them."""
    return [{"name": field.name, "dtype": _dtype(field.type)} for field in schema]


def hub_metadata(schema: pa.Schema) -> dict[str, str]:
    """What `datasets` reads from a Parquet file's metadata to know images from structs."""
    features = {
        field.name: {"_type": "Image"}
        if field.type == IMAGE
        else {"dtype": _dtype(field.type), "_type": "Value"}
        for field in schema
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _dtype(kind: pa.DataType) -> str:
    if kind == IMAGE:
        return "image"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))

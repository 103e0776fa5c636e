"""Preference data in: pairs by id, images only when they are needed.

`dataset` opens a folder, a Parquet file or the Hub's copy (`hub`), whose layout `schemas.layouts`
knows and reads row by row; `pairs` is what the trainer sees of it; `buckets` fits its images to
sizes that the model takes; `regions` weights what is inside boxes.
"""

from __future__ import annotations

from invdpo.schemas.ids import image_id
from invdpo.schemas.io.images import decode, shown_size
from invdpo.schemas.layouts.recognise import LAYOUTS
from invdpo.train.data.dataset import DataSet, open_dataset
from invdpo.train.data.pairs import Pair, Pairs

__all__ = [
    "LAYOUTS",
    "DataSet",
    "Pair",
    "Pairs",
    "decode",
    "image_id",
    "open_dataset",
    "shown_size",
]

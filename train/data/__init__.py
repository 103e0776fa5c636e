"""Preference data in: pairs by id, pictures only when they are needed.

`dataset` opens a folder, a file or the Hub's copy; `layouts` knows what such a folder may look
like, `tables` and `folders` read it row by row; `pairs` is what the trainer sees of it.
"""

from __future__ import annotations

from invdpo.schemas.ids import image_id
from invdpo.schemas.io.images import decode, shown_size
from invdpo.schemas.layouts.recognise import LAYOUTS
from invdpo.train.data.dataset import DataSet, open_dataset
from invdpo.train.data.pairs import SIDES, Pair, Pairs

__all__ = [
    "LAYOUTS",
    "SIDES",
    "DataSet",
    "Pair",
    "Pairs",
    "decode",
    "image_id",
    "open_dataset",
    "shown_size",
]

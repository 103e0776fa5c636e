"""Cutting a stream into lists; `itertools.batched` needs Python 3.12."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order, the last one shorter when need be."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk

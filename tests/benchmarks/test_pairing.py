"""The benchmark of pairing: ours and pandas come to the same pairs of a small table."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_both_ways_come_to_the_same_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    bench: Any = importlib.import_module("pairing")
    tables = bench.made(320)
    places = [tmp_path / f"{way}.parquet" for way in bench.WAYS]
    for place, way in zip(places, bench.WAYS.values(), strict=True):
        pq.write_table(way(tables), place)
    assert 0 < pq.read_metadata(places[0]).num_rows < 40
    assert bench.same(*places)
    changed = pq.read_table(places[0]).slice(1)
    pq.write_table(changed, places[0])
    assert not bench.same(*places)

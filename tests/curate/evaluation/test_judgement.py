"""The pixels' statistics on images whose values are known, and how images are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdpo.curate.evaluation import judgement
from invdpo.curate.evaluation.judgement import _diversity, image_statistics, read_judgement
from invdpo.curate.images import encode
from invdpo.curate.storage.parts import read_part
from invdpo.schemas.config import Config
from tests.curate.dataset_files import png, workspace


def test_statistics_of_halves() -> None:
    """Half black, half white: half is dark, one edge in each row, one bit of colours."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    values = image_statistics(encode(image))
    assert values["dark"] == pytest.approx(0.5)
    assert values["edges"] == pytest.approx((1 / 7 + 0) / 2)
    assert values["color_entropy"] == pytest.approx(1.0)


def test_one_colour_has_neither_edges_nor_entropy() -> None:
    values = image_statistics(encode(np.full((8, 8, 3), 200, np.uint8)))
    assert values == {"dark": 0.0, "edges": 0.0, "color_entropy": 0.0}


def test_diversity_is_the_share_of_unlike_bits_over_pairs_of_a_prompt() -> None:
    """Hashes 0, 1 and 3: 1, 2 and 1 of 64 bits; a prompt with one image says nothing."""
    groups = [[{"phash": f"{value:016x}"} for value in (0, 1, 3)], [{"phash": f"{7:016x}"}]]
    assert _diversity(groups) == pytest.approx((1 + 2 + 1) / 3 / 64)
    assert _diversity([groups[1]]) is None


def test_images_are_read_one_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """90 images in 3 parts; each read of images is of one part, and of them alone."""
    reads: list[tuple[str, int]] = []

    def noting(path: Path, columns: Any) -> Any:
        table = read_part(path, columns)
        reads.append((path.name, len(table["image"])))
        return table

    monkeypatch.setattr(judgement, "read_part", noting)
    ws = workspace(tmp_path)
    found = read_judgement(ws, Config())
    assert (found.images, found.rejected) == (90, 0)
    assert reads == [(f"part-{n:05d}.parquet", 30) for n in range(3)]
    each = [image_statistics(png(n)) for n in range(90)]
    for name, mean in found.statistics.items():
        assert mean == pytest.approx(np.mean([one[name] for one in each]))
    assert "image" not in judgement.COLUMNS
    assert found.figures["clip"]["p0"] == pytest.approx(1 / 90)

"""One rule at every door: formats, limits and whole images, and no other program is started."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invdpo.curate.candidate import Candidate
from invdpo.curate.clients.chat import image_part
from invdpo.curate.dataset.exif import without_metadata
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.curate.evaluation.grid import _scaled
from invdpo.curate.exchange import export_dataset, import_dataset
from invdpo.curate.images import for_viewers
from invdpo.curate.report.thumbnails import make_thumbnail
from invdpo.curate.review.server import RequestError, _picture
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import decode, image_suffix, shown_size
from invdpo.schemas.tables import IMAGE
from invdpo.train.data import open_dataset
from tests.curate.dataset_files import png, workspace, write
from tests.schemas.io import icc

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
KEEP = DatasetConfig()


def saved(kind: str, image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def half(kind: str) -> bytes:
    data = saved(kind, Image.fromarray(NOISE))
    return data[: len(data) // 2]


BAD = {
    "EPS": EPS,
    "a side too long": saved("PNG", Image.new("1", (40_000, 8))),
    "too many pixels": saved("PNG", Image.new("1", (10_000, 10_000))),
    "half a PNG": half("PNG"),
    "half a JPEG": half("JPEG"),
    "32 bits": saved("TIFF", Image.fromarray(np.full((4, 4), 1 << 20, np.int32))),
}
BAD_HEADS = ("EPS", "a side too long", "too many pixels")


def table(data: bytes) -> pa.Table:
    images = pa.array([{"bytes": data, "path": "a.png"}], IMAGE)
    return pa.table({"pair_id": ["p"], "chosen": images, "rejected": images})


DOORS: dict[str, Callable[[bytes], Any]] = {
    "decode": decode,
    "annotate, score": lambda data: Candidate({"image": {"bytes": data}}).image,
    "another format": lambda data: reencode_images(
        table(data), DatasetConfig.model_validate({"image_format": "png"})
    ),
    "grid": _scaled,
    "review": _picture,
    "chat": image_part,
    "remote": for_viewers,
}
WITHOUT_PIXELS: dict[str, Callable[[bytes], Any]] = {
    "size": shown_size,
    "metadata": without_metadata,
    "dataset": lambda data: reencode_images(table(data), KEEP),
}
"""Doors that may pass on a file by its head."""


@pytest.fixture(autouse=True)
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails where a program of this name was started."""
    log = tmp_path / "gs.log"
    (tmp_path / "bin").mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\necho run >> {log}\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    yield
    assert not log.exists()


@pytest.mark.parametrize(
    ("name", "door"),
    [(name, door) for name in BAD for door in DOORS]
    + [(name, door) for name in BAD_HEADS for door in WITHOUT_PIXELS],
)
def test_what_is_no_picture_is_refused(name: str, door: str) -> None:
    with pytest.raises((DataError, RequestError), match="image can't be decoded"):
        (DOORS | WITHOUT_PIXELS)[door](BAD[name])


@pytest.mark.parametrize("name", BAD)
def test_the_report_shows_none(name: str) -> None:
    assert make_thumbnail(BAD[name], 10_000) is None


def test_import_counts_what_is_no_whole_picture(tmp_path: Path) -> None:
    good = [{"prompt": "a", "chosen": png(1), "rejected": png(2)}]
    rows = [{"prompt": name, "chosen": data, "rejected": png(2)} for name, data in BAD.items()]
    (tmp_path / "theirs").mkdir()
    pq.write_table(pa.Table.from_pylist(good + rows), tmp_path / "theirs" / "train.parquet")
    done = import_dataset(tmp_path / "theirs", "preference", tmp_path / "ours", KEEP)
    assert done.pairs["train"] == 1
    assert done.skipped == {"image unreadable": len(BAD)}


def damaged(home: Path) -> Path:
    """A dataset of 24 pairs for training, whose first images are the bad ones."""
    folder = write(workspace(home / "work"))
    path = folder / "data" / "train-00000-of-00001.parquet"
    rows, schema = pq.read_table(path).to_pylist(), pq.read_schema(path)
    for row, data in zip(rows, BAD.values(), strict=False):
        row["rejected"] = {"bytes": data, "path": "x.png"}
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return folder


@pytest.mark.parametrize("layout", ["pickapic", "preference", "folders", "webdataset"])
def test_export_counts_them_too(layout: str, tmp_path: Path) -> None:
    ours = damaged(tmp_path)
    for name in ("keep", "png"):
        config = DatasetConfig.model_validate({"image_format": name})
        done = export_dataset(ours, layout, tmp_path / name, config)
        assert done.pairs == {"train": 24 - len(BAD), "validation": 6}
        assert done.skipped == {"image unreadable": len(BAD)}
        assert done.first == {"image unreadable": "data/train-00000-of-00001.parquet row 0"}
        if layout != "webdataset":
            pairs = open_dataset(tmp_path / name).pairs("train")
            assert (len(pairs.pairs), pairs.skipped) == (24 - len(BAD), {})


def test_an_export_of_nothing_is_refused(tmp_path: Path) -> None:
    ours = write(workspace(tmp_path / "work"))
    for path in (ours / "data").glob("*.parquet"):
        rows, schema = pq.read_table(path).to_pylist(), pq.read_schema(path)
        rows = [row | {"chosen": {"bytes": EPS, "path": "x.png"}} for row in rows]
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
    with pytest.raises(DataError, match=r"no pair in it \(image unreadable: 30\)"):
        export_dataset(ours, "preference", tmp_path / "out", KEEP)
    assert not (tmp_path / "out").exists()


def test_others_see_pictures_as_we_read_them() -> None:
    """A browser and a model's server would not turn, manage or scale these as we do."""
    plain = saved("PNG", Image.fromarray(NOISE))
    assert for_viewers(plain) == ("png", plain)
    wide = Image.fromarray(np.linspace(0, 65_535, 96).astype(np.uint16).reshape(8, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    odd = [
        saved("PNG", wide),
        saved("JPEG", Image.fromarray(NOISE), exif=exif),
        saved("PNG", Image.fromarray(NOISE), icc_profile=icc.display_p3()),
        saved("GIF", Image.fromarray(NOISE)),
    ]
    for data in odd:
        kind, content = for_viewers(data)
        assert kind == "png"
        assert decode(content) == decode(data)
        assert _picture(data) == ("image/png", content)
        assert image_suffix(content) == "png"

"""Winner and loser folders: `train/chosen/NAME.png`, `train/rejected/NAME.png`, and captions."""

from __future__ import annotations

from pathlib import Path

from invdpo.curate.exchange.base import EXPORTS
from invdpo.curate.exchange.names import file_stem
from invdpo.curate.exchange.ours import SourceDataset
from invdpo.schemas.io.images import image_suffix
from invdpo.schemas.tables import SIDES


@EXPORTS.register("folders")
def export(source: SourceDataset, folder: Path) -> None:
    """Images keep their bytes; the prompt is beside both as `NAME.txt`."""
    for split, table in source.tables():
        for row in table.select(["pair_id", "prompt", "chosen", "rejected"]).to_pylist():
            stem = file_stem(row["pair_id"])
            for side in SIDES:
                target, content = folder / split / side, row[side]["bytes"]
                target.mkdir(parents=True, exist_ok=True)
                (target / f"{stem}.{image_suffix(content)}").write_bytes(content)
                (target / f"{stem}.txt").write_text(row["prompt"], encoding="utf-8", newline="")

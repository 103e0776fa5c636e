"""What scoring costs beside the model: images a second; prints Markdown.

    python benchmarks/scoring.py [--pictures 256] [--rounds 5] [--quick]

An open_clip model with random weights judges JPEG images of 512×512. `bare` is its forward pass
over images and prompts in batches, the images prepared before the clock starts. `one at a time`
decodes, prepares and embeds each image and its prompt by itself, as reference packages do.
`curate score` is our step on a workspace, from Parquet to Parquet; its model is loaded before, as
theirs is. Rounds alternate, and medians are told. With one thread the model leaves other cores to
the threads that read ahead; with all threads it does not.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from report import stamp, table

from invdpo.curate.checkpoints.open_clip import ClipModel, find, load
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.curate.steps import make_prompts, score
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.ids import canonical_json
from invdpo.schemas.tables import CANDIDATES

BATCH = 32
EACH = 8
"""Images of one prompt."""
SIDE = 512


def weights(folder: Path, name: str) -> Path:
    """An open_clip folder of random weights of a named architecture."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network: Any = open_clip.create_model(name)
    folder.mkdir()
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(canonical_json(config))
    return folder


def picture(number: int, side: int = SIDE) -> bytes:
    """A JPEG file with large and small structure."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = np.clip(pixels + rng.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=92)
    return file.getvalue()


def workspace(root: Path, config: Config, pictures: Sequence[bytes]) -> Workspace:
    """Prompts and candidates, as if they had been generated."""
    ws = Workspace(root)
    make_prompts(ws, config, RunOptions(progress=False))
    prompts = ws.read_table(ws.prompts_path, ["prompt_id", "prompt"]).to_pylist()
    rows = [
        {
            "candidate_id": f"{n:08d}",
            "prompt_id": prompts[n // EACH]["prompt_id"],
            "image": {"bytes": data, "path": None},
            "status": "ok",
        }
        for n, data in enumerate(pictures)
    ]
    part = 64
    for n, start in enumerate(range(0, len(rows), part)):
        found = pa.Table.from_pylist(rows[start : start + part], CANDIDATES)
        made = {"prompts": prompts_made(ws), "generate": {}, "layout": {"part_size": part // EACH}}
        write_part(ws.candidates_dir / f"part-{n:05d}.parquet", found, made)
    return ws


def prompts_made(ws: Workspace) -> Any:
    """What made the prompts, as the tables after them state it."""
    from invdpo.curate.storage.parts import read_header

    return read_header(ws.prompts_path).fingerprint["prompts"]


def rounds(ways: dict[str, Callable[[], None]], count: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds by the clock and of the processor, of every way in every round, in turn."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(count + 1):
        for name, way in ways.items():
            clock, busy = time.perf_counter(), time.process_time()
            way()
            if number:  # the first round warms up
                found[name].append((time.perf_counter() - clock, time.process_time() - busy))
    return found


def ways(root: Path, model: Path, pictures: Sequence[bytes]) -> dict[str, Callable[[], None]]:
    """What is compared, each a call that judges all images once."""
    config = Config.model_validate(
        {
            "prompts": {"num_prompts": len(pictures) // EACH},
            "score": {
                "scorers": ["clip"],
                "clip_model": str(model),
                "device": "cpu",
                "batch_size": BATCH,
            },
        }
    )
    ws = workspace(root, config, pictures)
    prompts = ws.read_table(ws.prompts_path, ["prompt"])["prompt"].to_pylist()
    texts = [prompts[n // EACH] for n in range(len(pictures))]
    clip = load(find(str(model), None), "cpu")
    warm = SCORERS["clip"](config.score)
    SCORERS.register("clip")(lambda _: warm)
    ready = torch.stack([clip.preprocess(_decoded(data)) for data in pictures])

    def ours() -> None:
        shutil.rmtree(ws.root / "scores", ignore_errors=True)
        score(ws, config, RunOptions(progress=False))

    return {
        "bare": lambda: bare(clip, ready, texts),
        "curate score": ours,
        "one at a time": lambda: one_at_a_time(clip, pictures, texts),
    }


@torch.inference_mode()
def bare(clip: ClipModel, ready: torch.Tensor, texts: Sequence[str]) -> None:
    """Forward passes alone; each prompt once."""
    known = dict(zip(dict.fromkeys(texts), range(len(texts)), strict=False))
    embedded = torch.cat(
        [
            clip.network.encode_text(clip.tokenize([*known][n : n + BATCH]), normalize=True)
            for n in range(0, len(known), BATCH)
        ]
    )
    for start in range(0, len(ready), BATCH):
        images = clip.network.encode_image(ready[start : start + BATCH], normalize=True)
        index = [known[text] for text in texts[start : start + BATCH]]
        (images * embedded[index]).sum(dim=1).tolist()


@torch.inference_mode()
def one_at_a_time(clip: ClipModel, pictures: Sequence[bytes], texts: Sequence[str]) -> None:
    """Each image by itself, and its prompt again each time."""
    for data, text in zip(pictures, texts, strict=True):
        image = clip.network.encode_image(clip.preprocess(_decoded(data))[None], normalize=True)
        words = clip.network.encode_text(clip.tokenize([text]), normalize=True)
        (image * words).sum().item()


def _decoded(data: bytes) -> Image.Image:
    return Candidate({"image": {"bytes": data}}).image


def main() -> None:
    """Print one table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--quick", action="store_true", help="A tiny run, to see that it works.")
    given = parser.parse_args()
    count, repeats = (16, 1) if given.quick else (given.pictures, given.rounds)
    print(f"{stamp()}, no accelerator. {given.model}, {count} images, {repeats} rounds.\n")
    head = ("threads", "way", "images a second", "of bare", "by processor time", "spread")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        model = weights(Path(folder) / "model", given.model)
        compared = ways(Path(folder) / "work", model, [picture(n) for n in range(count)])
        for threads in (1, torch.get_num_threads()):
            torch.set_num_threads(threads)
            lines += told(threads, rounds(compared, repeats), count)
    print(table(head, lines))


def told(
    threads: int, found: dict[str, list[tuple[float, float]]], count: int
) -> list[tuple[str, ...]]:
    """A line for each way; ratios are medians of those within a round."""
    lines = []
    for name, times in found.items():
        rates = [count / clock for clock, _ in times]
        shares = [b[0] / t[0] for t, b in zip(times, found["bare"], strict=True)]
        busy = [b[1] / t[1] for t, b in zip(times, found["bare"], strict=True)]
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        lines.append(
            (
                str(threads),
                name,
                f"{median(rates):.1f}",
                f"{median(shares):.2f}",
                f"{median(busy):.2f}",
                spread,
            )
        )
    return lines


if __name__ == "__main__":
    main()

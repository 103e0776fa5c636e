"""How fast and in how much memory the dataset is written; prints Markdown.

    python benchmarks/writing.py [--pictures 1114 11140] [--kilobytes 1000] [--rounds 3]

A workspace is made whose images are noise in PNG files, so that no codec can hide their size, two
of a prompt, all of them in pairs. `copy` copies the files of its candidates a megabyte at a time.
`write` is `write_dataset`, from candidates, prompts and scores to the dataset with its card. Each
runs in a process of its own, which flushes what it wrote to the disk before its clock stops; both
find the candidates' files on the disk, not in memory, and alternate. Medians are told, with the
ratio within each round. At the end a score column is added and the set written again: `reused` is
the share of its bytes in pages that the first one has too. Needs disk for three times the images.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pages import shared
from PIL import Image
from report import stamp, table

from invdpo.curate.dataset.write import write_dataset
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.tables import CANDIDATES, PROMPTS, SCORES, pairs_schema

PART = 32
"""Images a part."""
BLOCK = 1 << 20
GRAPH = json.dumps({"items": [{"item_id": 0, "label": "circle", "attributes": ["red"]}]})
Told = dict[str, float]


def workspace(root: Path, pictures: int, size: int) -> Workspace:
    """Prompts, candidates and the scores of two scorers; nothing judges the images."""
    ws, rng = Workspace(root), np.random.default_rng(0)
    prompts = [
        {"prompt_id": f"p{n:06d}", "prompt": f"image {n}", "graph": GRAPH, "status": "ok"}
        for n in range(pictures // 2)
    ]
    write_part(ws.prompts_path, pa.Table.from_pylist(prompts, PROMPTS), {})
    for part, start in enumerate(range(0, pictures, PART)):
        name, numbers = f"part-{part:05d}.parquet", range(start, min(start + PART, pictures))
        rows = [
            {
                "candidate_id": f"c{n:06d}",
                "prompt_id": f"p{n // 2:06d}",
                "seed": n,
                "model": "m",
                "image": {"bytes": noise(rng, size), "path": f"c{n:06d}.png"},
                "status": "ok",
            }
            for n in numbers
        ]
        write_part(ws.candidates_dir / name, pa.Table.from_pylist(rows, CANDIDATES), {})
        for scorer in ("first", "second"):
            scored = [{"candidate_id": f"c{n:06d}", "score": rng.random()} for n in numbers]
            write_part(ws.scores_dir(scorer) / name, pa.Table.from_pylist(scored, SCORES), {})
    write_part(ws.pairs_path, pairs(pictures), {})
    return ws


def noise(rng: np.random.Generator, size: int) -> bytes:
    """A PNG file of at least `size` bytes."""
    side, file = math.ceil(math.sqrt(size / 3)), io.BytesIO()
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def pairs(pictures: int) -> pa.Table:
    """Every image in one pair; one in ten pairs is for validation."""
    rows = [
        {
            "pair_id": f"{n:06d}",
            "prompt_id": f"p{n:06d}",
            "chosen_id": f"c{2 * n:06d}",
            "rejected_id": f"c{2 * n + 1:06d}",
            "margin": 1.0,
            "delta_first": 0.5,
            "split": "validation" if n % 10 == 9 else "train",
        }
        for n in range(pictures // 2)
    ]
    return pa.Table.from_pylist(rows, pairs_schema(["first"]))


def copy(root: Path) -> None:
    """The candidates' files, a block at a time, flushed one by one."""
    target = root / "copy"
    target.mkdir()
    for path in sorted((root / "candidates").iterdir()):
        with path.open("rb") as source, (target / path.name).open("wb") as file:
            while block := source.read(BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())


def write(root: Path) -> None:
    """The dataset, by the package."""
    ws = Workspace(root)
    write_dataset(ws, ws.read_table(ws.pairs_path), {}, annotator=None)


def write_more(root: Path) -> None:
    """The dataset with the second scorer's columns."""
    ws = Workspace(root)
    more = ws.read_table(ws.pairs_path)
    more = more.append_column("delta_second", more["delta_first"])
    write_dataset(ws, more, {}, annotator=None)


WAYS = {"copy": copy, "write": write, "write more": write_more}


def run(way: str, root: Path) -> None:
    """One way in this process; prints what it took as JSON."""
    clock = time.perf_counter()
    WAYS[way](root)
    seconds = time.perf_counter() - clock
    told = {"seconds": seconds, "processor": time.process_time(), "peak": peak()}
    print(json.dumps(told))


def peak() -> float:
    """Most memory of this process in GB; what `getrusage` tells holds that of its parent too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def measured(way: str, root: Path) -> Told:
    """One way in a process of its own, the candidates' files out of the page cache."""
    for name in ("copy", "dataset") if way != "write more" else ():
        shutil.rmtree(root / name, ignore_errors=True)
    os.sync()
    for path in (root / "candidates").iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    words = [sys.executable, __file__, "--way", way, "--folder", str(root)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: Told = json.loads(done.stdout.splitlines()[-1])
    return found


def lines(pictures: int, size: int, rounds: int, home: Path) -> list[tuple[str, ...]]:
    """The table's lines of one number of images."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        root = Path(folder)
        workspace(root, pictures, size)
        told: dict[str, list[Told]] = {"copy": [], "write": []}
        for _ in range(rounds):
            for way, found in told.items():
                found.append(measured(way, root))
        shares = [c["seconds"] / w["seconds"] for c, w in zip(*told.values(), strict=True)]
        aside = root / "first"
        (root / "dataset").rename(aside)
        shutil.rmtree(root / "copy", ignore_errors=True)
        measured("write more", root)
        reused, whole = shared(*(sorted((f / "data").iterdir()) for f in (aside, root / "dataset")))
        check(root / "dataset", pictures, size)
    megabytes = pictures * size / 1e6
    return [
        (
            f"{pictures:,}",
            way,
            f"{megabytes / median(t['seconds'] for t in found):.0f}",
            f"{min(megabytes / t['seconds'] for t in found):.0f} to "
            f"{max(megabytes / t['seconds'] for t in found):.0f}",
            f"{median(t['processor'] for t in found) / megabytes * 1000:.2f}",
            f"{max(t['peak'] for t in found):.2f}",
            "1" if way == "copy" else f"{median(shares):.2f}",
            "" if way == "copy" else f"{reused / whole:.4f}",
        )
        for way, found in told.items()
    ]


def check(dataset: Path, pictures: int, size: int) -> None:
    """See that all images are there. Raises `SystemExit` otherwise."""
    rows = sum(pq.read_metadata(path).num_rows for path in (dataset / "data").iterdir())
    held = sum(path.stat().st_size for path in (dataset / "data").iterdir())
    if rows != pictures // 2 or held < pictures * size:
        raise SystemExit(f"{rows} rows in {held} bytes: not what was asked for.")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[1114, 11140])
    parser.add_argument("--kilobytes", type=int, default=1000, help="An image.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where to work; the usual temporary folder.")
    parser.add_argument("--quick", action="store_true", help="A tiny run, to see that it works.")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        return run(given.way, given.folder)
    counts, rounds = ([64, 128], 1) if given.quick else (given.pictures, given.rounds)
    size = 10_000 if given.quick else given.kilobytes * 1000
    print(f"{stamp()}, no accelerator. Images of {size / 1e6:g} MB, {rounds} rounds.\n")
    head = (
        "pictures",
        "way",
        "MB a second",
        "spread",
        "processor seconds a GB",
        "peak GB",
        "of copying",
        "reused with a score more",
    )
    print(table(head, [line for n in counts for line in lines(n, size, rounds, given.folder)]))


if __name__ == "__main__":
    main()

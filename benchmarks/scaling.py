"""How scoring grows with the number of candidates; prints Markdown.

    python benchmarks/scaling.py [--sizes 1000 10000 100000]

Images are PNG files of 16×16, 64 in a part, so that the machinery is measured and no model hides
it: the scorer decodes each image and gives its mean. Each size is a process of its own, which
tells its peak resident set, beyond what it had before the step.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from report import stamp, table
from scoring import prompts_made

from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers import SCORERS, Candidate, Judged, Scorer
from invdpo.curate.steps import make_prompts, score
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.tables import CANDIDATES

PART = 64
PROMPTS = 100


class Mean(Scorer):
    """The mean of an image's numbers."""

    name, revision = "mean", "1"
    needs: Sequence[str] = ("image",)

    def __init__(self, config: ScoreConfig) -> None:
        """Nothing to set."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a case."""
        return [Judged(float(np.asarray(candidate.image).mean())) for candidate in candidates]


def workspace(root: Path, rows: int) -> Workspace:
    """Candidates as if they had been generated."""
    ws = Workspace(root)
    make_prompts(ws, CONFIG, RunOptions(progress=False))
    prompts = ws.read_table(ws.prompts_path, ["prompt_id"])["prompt_id"].to_pylist()
    pictures = [_png(n) for n in range(PART)]
    made = {"prompts": prompts_made(ws), "generate": {}, "layout": {"part_size": 1}}
    for n, start in enumerate(range(0, rows, PART)):
        numbers = range(start, min(rows, start + PART))
        found = [
            {
                "candidate_id": f"{k:08d}",
                "prompt_id": prompts[k % PROMPTS],
                "status": "ok",
                "image": {"bytes": pictures[k % PART], "path": None},
            }
            for k in numbers
        ]
        part = ws.candidates_dir / f"part-{n:05d}.parquet"
        write_part(part, pa.Table.from_pylist(found, CANDIDATES), made)
    return ws


CONFIG = Config.model_validate(
    {"prompts": {"num_prompts": PROMPTS}, "score": {"scorers": ["mean"], "batch_size": PART}}
)


def _png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def measured(rows: int) -> dict[str, float]:
    """Seconds and growth of the peak resident set (MB) of the step, in this process."""
    SCORERS.register("mean")(Mean)
    with tempfile.TemporaryDirectory() as folder:
        ws = workspace(Path(folder) / "work", rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clock, busy = time.perf_counter(), time.process_time()
        (result,) = score(ws, CONFIG, RunOptions(progress=False))
        seconds, busy = time.perf_counter() - clock, time.process_time() - busy
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"made": result.made, "seconds": seconds, "busy": busy, "grown": grown / 1e3}


def line(rows: int) -> tuple[str, ...]:
    """One size, measured in a process of its own."""
    command = [sys.executable, __file__, "--one", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return (
        f"{found['made']:,}",
        f"{found['seconds']:.1f}",
        f"{1e6 * found['seconds'] / rows:.0f}",
        f"{1e6 * found['busy'] / rows:.0f}",
        f"{found['grown']:.0f}",
    )


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one)))
        return
    print(f"{stamp()}.\n")
    head = ("candidates", "seconds", "µs each", "µs of processor each", "memory grown by, MB")
    print(table(head, map(line, given.sizes)))


if __name__ == "__main__":
    main()

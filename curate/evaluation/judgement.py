"""How good one model is on prompts that are the same in every round, and what else it does.

Two figures measure what the scorers don't see. Diversity: how much the images of one
prompt differ, as the mean share of the 64 bits of their perceptual hashes that are unlike, over
all pairs of images of a prompt. And three cheap statistics of the pixels that move first when a
model learns to please a scorer: dark pages, grids, and few colours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate import steps
from invdpo.curate.annotators.judges import reads_graphs
from invdpo.curate.runner import RunOptions
from invdpo.curate.scene_graphs.matching import facts
from invdpo.curate.storage.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import OK, Record

DARK = 0.1
"""Brightness, 0..1, below which a pixel is dark."""
EDGE = 0.1
"""Change of brightness from one pixel to the next from which on there is an edge."""
SHADES = 4
"""Levels of each colour in the histogram of which the entropy is taken."""


COLUMNS = ("candidate_id", "prompt_id", "status", "phash")
"""Of candidates; their images are read apart."""


@dataclass(frozen=True)
class Judgement:
    """One model on the validation prompts."""

    figures: Mapping[str, Mapping[str, float]]
    """Figure -> prompt id -> mean over the prompt's images that have it."""
    facts: Mapping[str, tuple[int, int]]
    """Kind of fact -> how many hold, and how many there are, in all images."""
    diversity: float | None
    """0..1; None with one image a prompt."""
    statistics: Mapping[str, float]
    """`dark`, `edges` (shares of pixels) and `color_entropy` (bits), means over images."""
    images: int
    rejected: int

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self) | {"facts": {kind: list(n) for kind, n in self.facts.items()}}


def judge_model(
    ws: Workspace, config: Config, options: RunOptions, note: Callable[[str], None]
) -> Judgement:
    """Run all steps up to the scores in `ws`, and read what came out. Raises as the steps do.

    `note` is called with what the user should know of a step.
    """
    results = [steps.make_prompts(ws, config, options), steps.generate(ws, config, options)]
    if reads_graphs(config):
        results += steps.annotate(ws, config, options)
    results += steps.score(ws, config, options)
    for message in (message for result in results for message in result.messages()):
        note(message)
    return read_judgement(ws, config)


def read_judgement(ws: Workspace, config: Config) -> Judgement:
    """What the tables of a judged workspace say."""
    by_prompt = defaultdict[str, list[Record]](list)
    rows = ws.read_table(ws.candidates_dir, COLUMNS).to_pylist()
    usable = [row for row in rows if row["status"] == OK]
    for row in usable:
        by_prompt[row["prompt_id"]].append(row)
    return Judgement(
        figures=_figures(ws, config, by_prompt),
        facts=_facts(ws, config, usable) if reads_graphs(config) else {},
        diversity=_diversity(by_prompt.values()),
        statistics=_statistics(ws),
        images=len(rows),
        rejected=len(rows) - len(usable),
    )


def _figures(
    ws: Workspace, config: Config, by_prompt: Mapping[str, Sequence[Record]]
) -> dict[str, dict[str, float]]:
    scored = defaultdict[str, dict[str, float]](dict)
    for scorer in config.score.scorers:
        for row in ws.read_table(ws.scores_dir(scorer)).to_pylist():
            if row["score"] is not None:
                scored[scorer][row["candidate_id"]] = row["score"]
                for name, value in row["components"] or ():
                    scored[f"{scorer}_{name}"][row["candidate_id"]] = value
    figures: dict[str, dict[str, float]] = {}
    for name, of_candidate in scored.items():
        means = {}
        for prompt_id, rows in by_prompt.items():
            ids = [row["candidate_id"] for row in rows]
            if values := [of_candidate[i] for i in ids if i in of_candidate]:
                means[prompt_id] = fmean(values)
        figures[name] = means
    return figures


def _facts(ws: Workspace, config: Config, rows: Sequence[Record]) -> dict[str, tuple[int, int]]:
    prompts = ws.read_table(ws.prompts_path, ["prompt_id", "graph"]).to_pylist()
    intended = {p["prompt_id"]: SceneGraph.from_json(p["graph"]) for p in prompts if p["graph"]}
    table = ws.read_table(ws.annotations_dir(config.score.annotator), ["candidate_id", "graph"])
    observed = {row["candidate_id"]: row["graph"] for row in table.to_pylist() if row["graph"]}
    counts = defaultdict[str, list[bool]](list)
    for row in rows:
        graph, asked = observed.get(row["candidate_id"]), intended.get(row["prompt_id"])
        if graph and asked:
            for fact in facts(asked, SceneGraph.from_json(graph))[0]:
                counts[fact.kind].append(fact.holds)
    return {kind: (sum(holds), len(holds)) for kind, holds in sorted(counts.items())}


def _diversity(groups: Iterable[Sequence[Record]]) -> float | None:
    means = []
    for rows in groups:
        hashes = [int(row["phash"], 16) for row in rows if row["phash"]]
        if pairs := list(combinations(hashes, 2)):
            means.append(fmean((a ^ b).bit_count() / 64 for a, b in pairs))
    return fmean(means) if means else None


def _statistics(ws: Workspace) -> dict[str, float]:
    """Means over all images, of which memory holds those of one part at a time."""
    measured = [
        image_statistics(image["bytes"].as_py())
        for part in ws.iter_parts(ws.candidates_dir)
        for image in _images(part)
    ]
    names = measured[0] if measured else ()
    return {name: fmean(one[name] for one in measured) for name in names}


def _images(part: Path) -> Iterator[pa.StructScalar]:
    table = read_part(part, ["image", "status"])
    for chunk in table.filter(pc.field("status") == OK)["image"].chunks:
        yield from chunk


def image_statistics(content: bytes) -> dict[str, float]:
    """`dark` and `edges`, shares of pixels, and `color_entropy` in bits, of one image."""
    import numpy as np

    pixels = np.asarray(decode(content), dtype=np.float64) / 255
    brightness = pixels @ np.array([0.299, 0.587, 0.114])
    across, down = (np.abs(np.diff(brightness, axis=axis)) > EDGE for axis in (1, 0))
    shades = np.minimum((pixels * SHADES).astype(int), SHADES - 1)
    bins = np.bincount((shades @ np.array([SHADES**2, SHADES, 1])).ravel(), minlength=SHADES**3)
    share = bins[bins > 0] / bins.sum()
    return {
        "dark": float((brightness < DARK).mean()),
        "edges": float((across.mean() + down.mean()) / 2),
        "color_entropy": float(-(share * np.log2(share)).sum()) + 0.0,
    }

"""What the cards of the embedded world say, measured again; prints Markdown.

How much of rendered scenes the annotator `shapes` reads right, as they are and spoilt; and how
many held-out prompts the bundled model draws fully right, judged by that annotator.

    python benchmarks/world.py
    python benchmarks/world.py --prompts 64 --sampling 12:4
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from report import stamp, table
from spoilt import SPOILS, scenes, share_right, spoilt

from invdpo.curate.evaluation.compare import evaluate_model
from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.curate.evaluation.statistics import wilson
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS


def reading(count: int) -> list[tuple[str, ...]]:
    """The annotator's rows; spoilt scenes are the same ones."""
    drawn = scenes(count)
    kinds = {"as rendered": drawn} | {name: spoilt(drawn, s) for name, s in SPOILS.items()}
    return [(name, f"{len(drawn):,}", f"{share_right(some):.2%}") for name, some in kinds.items()]


def drawing(name: str, count: int, samplings: list[str]) -> list[tuple[str, ...]]:
    """The model's rows, one for each STEPS:GUIDANCE."""
    rows = []
    for text in samplings:
        steps, guidance = text.split(":")
        sampling = {"num_inference_steps": steps, "guidance_scale": guidance}
        generate = {"model": name, "batch_size": 32} | sampling
        score = {"scorers": ["composition"]}
        config = Config.model_validate(
            {"generate": generate, "score": score, "eval": {"num_prompts": count, "seed": 1}}
        )
        with tempfile.TemporaryDirectory() as folder:
            options = RunOptions(part_size=64)
            model, ws = EvaluatedModel(name), Workspace(Path(folder))
            seen = evaluate_model(ws, config, model, options)
        share = wilson(sum(outcome.right for outcome in seen.values()), len(seen))
        told = f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
        rows.append((steps, guidance, f"{len(seen):,}", told))
    return rows


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000, help="rendered scenes to read")
    which = f"{', '.join(EMBEDDED_MODELS)}, or the folder of a model trained from one of them"
    parser.add_argument("--model", default=EMBEDDED, help=which)
    parser.add_argument("--prompts", type=int, default=512, help="held-out prompts to draw")
    parser.add_argument(
        "--sampling", nargs="+", default=["12:2", "12:4", "20:4"], metavar="STEPS:GUIDANCE"
    )
    given = parser.parse_args()
    print(f"{stamp()}, no accelerator.\n")
    print(table(("scenes", "how many", "facts read right"), reading(given.scenes)))
    head = ("steps", "guidance", "held-out prompts", "fully right, 95 % interval")
    print("\n" + table(head, drawing(given.model, given.prompts, given.sampling)))


if __name__ == "__main__":
    main()

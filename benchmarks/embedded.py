"""Which objective improves the embedded model most, against steps and against seconds.

Every variant trains on the same pairs, from the same base, with the same number of optimiser
steps and pairs a step, once a seed; checkpoints on the way are judged on the same held-out prompts
and seeds. Prints a table; everything is kept in the folder, so an interrupted run goes on.

    python benchmarks/embedded.py --folder bench
    python benchmarks/embedded.py --folder bench --only endpoint --seeds 1 --set beta=500
    python benchmarks/embedded.py --folder flow --model embedded-flow
    python benchmarks/embedded.py --workspace demo --only endpoint-fresh diffusion-dpo
    python benchmarks/embedded.py --folder lora --set lora_rank=4 'lora_targets=["to_q", "to_v"]'
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from changes import read_change
from study import VARIANTS, Plan, Study
from tables import markdown

from invdpo.schemas.config import Config, EvalConfig
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS

CONFIG = Config(
    prompts=PromptsConfig(num_prompts=1400, split="train", seed=11),
    generate=GenerateConfig(
        num_candidates=8, num_inference_steps=12, guidance_scale=2.0, seed=11, batch_size=32
    ),
    pair=PairConfig(min_margin=1.0, validation_fraction=0.1),
    eval=EvalConfig(num_prompts=512, seed=1),
)


def main() -> None:
    """Read the flags, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where all is kept")
    parser.add_argument("--model", choices=EMBEDDED_MODELS, default=EMBEDDED, help="the base")
    parser.add_argument("--workspace", type=Path, help="take its pairs, such as those of the demo")
    parser.add_argument("--seeds", type=int, default=3, help="runs a variant")
    parser.add_argument(
        "--at", type=int, nargs="+", default=[40, 80, 160], help="steps at which runs are judged"
    )
    parser.add_argument("--only", nargs="*", choices=sorted(VARIANTS), help="some variants alone")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of all variants")
    given = parser.parse_args()
    changes = dict(map(read_change, given.set))
    names = given.only or list(VARIANTS)
    generate = GenerateConfig.model_validate({**CONFIG.generate.model_dump(), "model": given.model})
    config = CONFIG.model_copy(update={"generate": generate})
    workspace = given.workspace or given.folder / "pairs"
    plan = Plan(given.folder, config, sorted(given.at), changes, workspace)
    study = Study(plan, note=lambda text: print(text, file=sys.stderr, flush=True))
    study.curate()
    base = study.judge_base()
    runs = [study.run(name, seed) for name in names for seed in range(given.seeds)]
    print(markdown(base, runs, study.facts()))


if __name__ == "__main__":
    main()

"""Trains the embedded world's models from nothing: autoencoder, pipeline, CLIP.

    python tools/train_embedded.py vae --work WORK --steps 2000
    python tools/train_embedded.py pipeline --work WORK --steps 12700 --stop-at 3243
    python tools/train_embedded.py clip --work WORK --steps 2600
    python tools/train_embedded.py flow --work WORK --steps 11000 --scenes 64000

WORK keeps scenes, latents and checkpoints; all but the first command write into the package.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from embedded import clip, data, judge, negatives, prepare, vae, words
from embedded.flow_pipeline import FlowTrainer
from embedded.pipeline import Trainer

from invdpo.curate.shapes.bundle import clip_path, flow_model_path, model_path

SEED = 2026


def train_vae(given: argparse.Namespace) -> None:
    """The autoencoder, and how many scenes survive it."""
    images = torch.from_numpy(data.make("train", min(given.scenes, 24_000), SEED).images)
    model = vae.train(images, steps=given.steps, seed=SEED, folder=given.work / "vae")
    scenes = data.make("validation", 512, SEED + 1)
    latents = vae.encode(model, torch.from_numpy(scenes.images))
    objects, full = judge.share(scenes.graphs, vae.decode(model, latents))
    print(f"reconstructions of 512 scenes: objects right {objects:.3f}, fully right {full:.3f}")


def train_pipeline(given: argparse.Namespace) -> None:
    """Text encoder and noise predictor, exported into the repository."""
    trainer = Trainer(given.work, given.out or model_path(), SEED, given.scenes)
    stop_at = min(given.stop_at or given.steps, given.steps)
    trainer.train(steps=given.steps, stop_at=stop_at, every=given.every)


def train_flow(given: argparse.Namespace) -> None:
    """Text encoders and velocity predictor, exported into the repository."""
    given.work.mkdir(parents=True, exist_ok=True)
    trainer = FlowTrainer(given.work, given.out or flow_model_path(), SEED, given.scenes)
    stop_at = min(given.stop_at or given.steps, given.steps)
    trainer.train(steps=given.steps, stop_at=stop_at, every=given.every)


def train_clip(given: argparse.Namespace) -> None:
    """The CLIP model, and how well it tells right captions from wrong ones."""
    tokenizer = words.build()
    scenes = prepare.scenes(given.work, given.scenes, SEED + 1)
    model = clip.train(tokenizer, scenes.images, scenes.ids, steps=given.steps, seed=SEED)
    clip.export(given.out or clip_path(), model, tokenizer)
    for change in (negatives.swap_colours, negatives.turn_relation, negatives.change_object):
        share, count = clip.accuracy(model, tokenizer, change, SEED + 3)
        print(f"{change.__name__}: right caption preferred {share:.3f} of {count}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--out", type=Path, help="where to export; by default the package")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps")
    parser.add_argument("--stop-at", type=int, help="step to stop the pipeline at, before the end")
    parser.add_argument("--every", type=int, default=1600, help="steps between measurements")
    parser.add_argument("--scenes", type=int, default=96_000, help="training scenes to render")
    return parser.parse_args()


PARTS = {"vae": train_vae, "pipeline": train_pipeline, "clip": train_clip, "flow": train_flow}

if __name__ == "__main__":
    options = arguments()
    PARTS[options.part](options)

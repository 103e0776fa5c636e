"""Run by `packages.py` in an environment with image-reward or hpsv2: makes weights, judges by them.

Nothing of invdpo is imported here. What the packages would fetch is replaced by what lies in the
folder; openai's `clip` and progress bars, which play no part in these scores, by empty modules.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

Judge = Callable[[list[Any], str], list[float]]
"""Scores of some images of one prompt, by the package's own call, one image at a time."""


def bare(name: str) -> None:
    """A package without what its `__init__` would import."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        sys.exit(f"{name} is not installed for {sys.executable}.")
    sys.modules[name] = importlib.util.module_from_spec(spec)


def imagereward(folder: Path) -> tuple[Any, Judge]:
    """ImageReward as released: BLIP with a ViT-L/16."""
    bare("ImageReward")
    bare("ImageReward.models")
    from ImageReward.models.BLIP import blip_pretrain
    from transformers import BertTokenizer

    blip_pretrain.init_tokenizer = lambda: BertTokenizer(str(folder / "vocab.txt"))
    from ImageReward.ImageReward import ImageReward

    network = ImageReward(med_config=str(folder / "med_config.json"))
    for parameter in network.mlp.parameters():  # drawn so small that all rewards would be alike
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval(), lambda pictures, prompt: network.score(prompt, pictures)


def hpsv2(folder: Path) -> tuple[Any, Judge]:
    """HPS v2 as released: a ViT-H-14 of its own copy of open_clip."""
    for name in ("clint", "clint.textui"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["clint.textui"].progress = None  # type: ignore[attr-defined]
    bare("hpsv2")
    from hpsv2 import img_score
    from hpsv2.src.open_clip import factory

    factory.download_pretrained = lambda *_, **__: "nowhere"
    factory.load_checkpoint = lambda *_, **__: None
    img_score.initialize_model()
    network = img_score.model_dict["model"]
    held = {"state_dict": network.state_dict()}
    # each of its calls reads the checkpoint anew; that is left out here
    img_score.torch.load = lambda *_, **__: held
    return network, lambda pictures, prompt: img_score.score(pictures, prompt, cp="held")


MAKE = {"imagereward": imagereward, "hpsv2": hpsv2}
FILES = {"imagereward": "ImageReward.pt", "hpsv2": "HPS_v2.1_compressed.pt"}


def main() -> None:
    """Make the checkpoint, judge the images as often as asked, print figures as JSON."""
    name, place, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, judge = MAKE[name](place)
    state = network.state_dict()
    torch.save({"state_dict": state} if name == "hpsv2" else state, place / FILES[name])
    asked = json.loads((place / "asked.json").read_text())
    found: dict[str, list[Any]] = {"scores": [], "seconds": [], "busy": []}
    for _ in range(rounds):
        clock, busy = time.perf_counter(), time.process_time()
        found["scores"] = [
            score
            for prompt, files in asked
            for score in judge([Image.open(place / file) for file in files], prompt)
        ]
        found["seconds"].append(time.perf_counter() - clock)
        found["busy"].append(time.process_time() - busy)
    found["scores"] = [float(score) for score in found["scores"]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()

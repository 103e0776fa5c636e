"""Scorers beside the packages they come from: the same scores, and how fast; prints Markdown.

    python benchmarks/packages.py --python PYTHON [--scorers imagereward hpsv2] [--pictures 16]

PYTHON is the interpreter of an environment with image-reward 1.5 and hpsv2 1.2, which can't be
ours: they want an older transformers. There the packages make random weights in the released sizes
and forms, and judge image by image in their own way; here `curate score` reads the same files
and judges the same images, from Parquet to Parquet. One thread each; medians are told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from report import stamp, table
from scoring import EACH, picture, workspace

from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers import SCORERS
from invdpo.curate.steps import score
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.ids import canonical_json

BERT = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30524,
    "encoder_width": 1024,
    "add_cross_attention": True,
}
"""Sizes of ImageReward's text encoder."""


def options(name: str, folder: Path) -> dict[str, Any]:
    """What makes our scorer read the files in the folder."""
    if name == "hpsv2":
        return {"hpsv2_checkpoint": str(folder / "HPS_v2.1_compressed.pt")}
    return {
        "imagereward_folder": str(folder),
        "imagereward_tokenizer": str(folder / "tokenizer"),
    }


def vocabulary(folder: Path) -> None:
    """A tokenizer of BERT's kind, and the sizes of the encoder."""
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [end + chr(n) for n in range(ord("a"), ord("z") + 1) for end in ("", "##")]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer: Any = BertTokenizer(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "med_config.json").write_text(canonical_json(BERT))


def prepared(name: str, folder: Path, pictures: Sequence[bytes]) -> tuple[Workspace, Config]:
    """The same images and prompts as a workspace, and as files for the package."""
    vocabulary(folder)
    config = Config.model_validate(
        {
            "prompts": {"num_prompts": -(-len(pictures) // EACH)},
            "score": {
                "scorers": [name],
                "device": "cpu",
                "batch_size": 32,
                **options(name, folder),
            },
        }
    )
    ws = workspace(folder / "work", config, pictures)
    texts = ws.read_table(ws.prompts_path, ["prompt"])["prompt"].to_pylist()
    files = [f"{n}.jpg" for n in range(len(pictures))]
    for file, data in zip(files, pictures, strict=True):
        (folder / file).write_bytes(data)
    asked = [(text, files[n * EACH : (n + 1) * EACH]) for n, text in enumerate(texts)]
    (folder / "asked.json").write_text(json.dumps(asked))
    return ws, config


def theirs(python: str, name: str, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Scores and times of the package."""
    script = Path(__file__).with_name("their_packages.py")
    done = subprocess.run(
        [python, str(script), name, str(folder), str(rounds)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(name: str, ws: Workspace, config: Config, rounds: int) -> dict[str, list[float]]:
    """Scores and times of the step; its model is loaded before the clock starts, as theirs is."""
    warm = SCORERS[name](config.score)
    SCORERS.register(name)(lambda _: warm)
    found: dict[str, list[float]] = {"scores": [], "seconds": [], "busy": []}
    for number in range(rounds + 1):
        shutil.rmtree(ws.root / "scores", ignore_errors=True)
        clock, busy = time.perf_counter(), time.process_time()
        score(ws, config, RunOptions(progress=False))
        if number:  # the first round loads the model
            found["seconds"].append(time.perf_counter() - clock)
            found["busy"].append(time.process_time() - busy)
    rows = ws.read_table(ws.scores_dir(name), ["candidate_id", "score"]).to_pylist()
    found["scores"] = [row["score"] for row in sorted(rows, key=lambda row: row["candidate_id"])]
    return found


def line(name: str, python: str, count: int, rounds: int) -> tuple[str, ...]:
    """One scorer: agreement and speed."""
    with tempfile.TemporaryDirectory() as place:
        ws, config = prepared(name, Path(place), [picture(n) for n in range(count)])
        them = theirs(python, name, Path(place), rounds)
        us = ours(name, ws, config, rounds)
    apart = max(abs(a - b) for a, b in zip(us["scores"], them["scores"], strict=True))
    spread = max(us["scores"]) - min(us["scores"])
    rates = [count / median(each["seconds"]) for each in (them, us)]
    return (
        name,
        f"{apart:.1e}",
        f"{spread:.1e}",
        f"{rates[0]:.2f}",
        f"{rates[1]:.2f}",
        f"{rates[1] / rates[0]:.2f}",
        f"{median(them['busy']) / median(us['busy']):.2f}",
    )


def main() -> None:
    """Print a line for each scorer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--scorers", nargs="+", default=["imagereward", "hpsv2"])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{stamp()}, no accelerator. {given.pictures} images, {given.rounds} rounds.\n")
    head = (
        "scorer",
        "greatest difference",
        "scores spread over",
        "package, images a second",
        "`curate score`",
        "times as fast",
        "by processor time",
    )
    print(table(head, [line(n, given.python, given.pictures, given.rounds) for n in given.scorers]))


if __name__ == "__main__":
    main()

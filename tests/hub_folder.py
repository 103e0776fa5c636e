"""A trained model's folder as tests push it: what belongs on the Hub, and what must stay here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invdpo.hub.files import model_files
from invdpo.hub.folder import push_folder

CARD = b"---\nlicense: mit\n---\n\n# A card\n"
KEPT = {
    "README.md": CARD,
    "pytorch_lora_weights.safetensors": bytes(range(256)) * 100,
    "training.json": b'{"result": {"steps": 2}}',
    "metrics.jsonl": b'{"step": 1}\n',
    "curves.png": b"\x89PNG",
    "pictures/step-00001.png": b"\x89PNG1",
}
LEFT = (
    ".cache/x.safetensors",
    ".hidden.safetensors",
    "checkpoints/step-1/w.safetensors",
    "state/a.json",
    "tensorboard/events",
    "wandb/run",
    "evaluation/grid.png",
    "evaluation/scores/part.parquet",
    "pictures/.DS_Store",
    "notes.txt",
    "token.json",
)


def model_folder(place: Path) -> Path:
    """All of it, written below `place`."""
    write(place / "tuned", KEPT | dict.fromkeys(LEFT, b"private"))
    return place / "tuned"


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Files by their path in a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def push(folder: Path, name: str = "alice/tuned", **options: Any) -> str:
    """Push what belongs on the Hub of a model's folder; the address."""
    return push_folder(folder, name, patterns=model_files(folder), **options)

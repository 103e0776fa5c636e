"""The YAML head of a card, as the Hub defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invdpo.data_cards.licences import KEYS, licence_of

Stats = Mapping[str, Any]

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The Hub's size categories below a million rows."""


def dataset_metadata(stats: Stats) -> dict[str, Any]:
    """Licence, task, files and features of a data set."""
    counts = {name: int(stats.get(f"num_{name}", 0)) for name in ("train", "validation")}
    files = [{"split": name, "path": f"data/{name}-*.parquet"} for name, n in counts.items() if n]
    head: dict[str, Any] = {
        "pretty_name": " ".join(str(stats["name"]).split()),
        **_dataset_licence(stats),
        **({} if stats.get("origin") else {"language": ["en"]}),
        "task_categories": ["text-to-image"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [_size(sum(counts.values()))],
        "tags": ["preference", "dpo", "scene-graph", "synthetic", "invdpo"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    if stats.get("features"):
        head["dataset_info"] = {"features": [dict(feature) for feature in stats["features"]]}
    return head


def model_metadata(stats: Stats) -> dict[str, Any]:
    """Licence and library of a tuned model; base model and data set if they are on the Hub."""
    lora = stats.get("tuning", "lora") == "lora"
    head: dict[str, Any] = {
        "license": _license(stats),
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", *(["lora"] if lora else []), "dpo", "inversion-dpo", "invdpo"],
    }
    head |= {key: stats[key] for key in ("license_name", "license_link") if stats.get(key)}
    if "base_model_id" in stats:
        head["base_model"] = stats["base_model_id"]
        head["base_model_relation"] = "adapter" if lora else "finetune"
    if "dataset_id" in stats:
        head["datasets"] = [stats["dataset_id"]]
    return head


def _dataset_licence(stats: Stats) -> dict[str, Any]:
    """As given, else that of the models that generated the images."""
    if stats.get("license"):
        return {key: stats[key] for key in KEYS if stats.get(key)}
    return licence_of(stats["models"])


def _license(stats: Stats) -> str | list[str]:
    """As given; the embedded model is ours, and for others the licence is unknown."""
    if given := stats.get("license"):
        return [str(name) for name in given] if isinstance(given, list) else str(given)
    return "apache-2.0" if stats.get("base_model") == "embedded" else "other"


def _size(rows: int) -> str:
    return next((name for limit, name in SIZES if rows < limit), "n>1M")

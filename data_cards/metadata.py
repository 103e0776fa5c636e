"""The YAML head of a card, as the Hub defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invdpo.data_cards.licences import KEYS, licence_of
from invdpo.schemas.config.section import EMBEDDED_MODELS

Stats = Mapping[str, Any]

CONTENT_HASH = "SHA-256 of the files: "
"""Before the hash, in the description of a card's default configuration."""

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The Hub's size categories below a million rows."""


def dataset_metadata(stats: Stats) -> dict[str, Any]:
    """Licence, task, files and features of a dataset."""
    counts = {name: int(stats.get(f"num_{name}", 0)) for name in ("train", "validation")}
    head: dict[str, Any] = {
        "pretty_name": " ".join(str(stats["name"]).split()),
        **_dataset_licence(stats),
        **({} if stats.get("origin") else {"language": ["en"]}),
        "task_categories": ["text-to-image"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [_size(sum(counts.values()))],
        "tags": ["preference", "dpo", "scene-graph", "synthetic", "invdpo"],
        **files_metadata(stats),
    }
    return head


def files_metadata(stats: Stats) -> dict[str, Any]:
    """Where the splits are, their sizes, and the hash of all files.

    `datasets` keeps what it loaded from a folder by the folder's last name and by these, so that
    another dataset in a folder of that name needs another hash.
    """
    sizes = {n: size for n, size in stats.get("splits", {}).items() if size["num_examples"]}
    names = sizes or [n for n in ("train", "validation") if stats.get(f"num_{n}")]
    config: dict[str, Any] = {
        "config_name": "default",
        "data_files": [{"split": name, "path": f"data/{name}-*.parquet"} for name in names],
    }
    if stats.get("content_hash"):
        config["description"] = f"{CONTENT_HASH}{stats['content_hash']}"
    info: dict[str, Any] = {}
    if stats.get("features"):
        info["features"] = [dict(feature) for feature in stats["features"]]
    if sizes:
        info["splits"] = [
            {"name": n, "num_bytes": size["num_bytes"], "num_examples": size["num_examples"]}
            for n, size in sizes.items()
        ]
        info["download_size"] = sum(size["download_size"] for size in sizes.values())
        info["dataset_size"] = sum(size["num_bytes"] for size in sizes.values())
    return {"configs": [config], **({"dataset_info": info} if info else {})}


def stored_content_hash(head: Mapping[str, Any]) -> str | None:
    """The hash of the files for which a card's head was written, if it holds one."""
    configs = head.get("configs")
    for config in configs if isinstance(configs, list) else ():
        text = str(config.get("description", "")) if isinstance(config, Mapping) else ""
        if text.startswith(CONTENT_HASH):
            return text.removeprefix(CONTENT_HASH)
    return None


def model_metadata(stats: Stats) -> dict[str, Any]:
    """Licence and library of a tuned model; base model and dataset if they are on the Hub."""
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
    return "apache-2.0" if stats.get("base_model") in EMBEDDED_MODELS else "other"


def _size(rows: int) -> str:
    return next((name for limit, name in SIZES if rows < limit), "n>1M")

"""The card of a tuned model: its base and licence, the command that trained it, and the results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from invdpo import __version__
from invdpo.data_cards.licences import read_licence
from invdpo.options import Flag, flags
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.hub import hub_failures, is_hub_id
from invdpo.schemas.io.redact import redact
from invdpo.trained import read_training

if TYPE_CHECKING:
    from invdpo.train import TrainResult

REWARDS = {"rewards/accuracies": "reward accuracy", "rewards/margins": "reward margin"}


def write_model_card(
    dataset: str | Path, config: TrainConfig, result: TrainResult, repo_id: str | None = None
) -> Path:
    """Write `README.md` beside the weights; its path.

    Args:
        dataset: Folder or Hub id, as given.
        config: As given, so that the embedded model has that name.
        result: What `invdpo.train.train` returned.
        repo_id: Where on the Hub the model will be, if anywhere.
    """
    from invdpo.data_cards import render_model_card
    from invdpo.schemas.io.files import write_atomically

    card = result.output / "README.md"
    facts = model_facts(dataset, config, result, repo_id)
    write_atomically(card, render_model_card(facts).encode())
    return card


def draft_card(dataset: str | Path, output: Path, config: TrainConfig, repo_id: str) -> str:
    """The card as far as it is known before the training; its head is already final."""
    from invdpo.data_cards import render_model_card

    return render_model_card(plan_facts(dataset, output, config, repo_id))


def model_facts(
    dataset: str | Path, config: TrainConfig, result: TrainResult, repo_id: str | None = None
) -> dict[str, Any]:
    """What `render_model_card` takes; the arguments are those of `write_model_card`."""
    output = result.output
    training = read_training(output)
    facts = plan_facts(dataset, output, config, repo_id)
    if training:  # what `auto` and `none` came to
        used = {name: training.config[name] for name in facts["config"] if name in training.config}
        facts["config"] |= {name: _text(redact(used[name])) for name in {*used} - {"model"}}
    return facts | {
        "fingerprint": training.fingerprint if training else None,
        "figures": [{"figure": name, "value": value} for name, value in _figures(result).items()],
        "curves": "curves.png" if (output / "curves.png").is_file() else None,
        "picture": _last_image(output),
    }


def plan_facts(
    dataset: str | Path, output: Path, config: TrainConfig, repo_id: str | None = None
) -> dict[str, Any]:
    """What is known before the training."""
    residual = f" ({config.residual})" if config.objective == "inversion-dpo" else ""
    dataset_id, name = hub_id(str(dataset)), output.resolve().name
    facts = {
        "name": repo_id.split("/")[-1] if repo_id else name,
        "location": repo_id or f"path/to/{name}",
        "dataset": dataset_id or _local_name(Path(dataset)),
        "objective": f"{config.objective}{residual}",
        "tuning": config.tuning,
        "command": training_command(dataset, output, config),
        "config": {name: _text(redact(value)) for name, value in config.fingerprint().items()},
        "version": __version__,
    }
    return facts | ({"dataset_id": dataset_id} if dataset_id else {}) | base_facts(config)


def _local_name(dataset: Path) -> str:
    """A folder by its own name and its parent's, as `work/dataset`."""
    return f"{dataset.resolve().parent.name}/{dataset.name}"


def training_command(dataset: str | Path, output: Path, config: TrainConfig) -> str:
    """The command of this training, with the options that differ from the defaults.

    Folders of this machine are shortened to their last part, and words are quoted for a shell.
    """
    words = ["invdpo", "train", redact(str(dataset)), "--output", redact(str(output))]
    for flag in flags(["train"]):
        value = getattr(config, flag.field)
        if value != flag.info.default:
            words += _option(flag, redact(value))
    return shlex.join(words)


def _option(flag: Flag, value: Any) -> list[str]:
    """A flag and its value as they would be typed."""
    if isinstance(value, bool):
        return [flag.option.split("/")[0 if value else 1]]
    return [flag.option, _text(value)]


def _text(value: Any) -> str:
    """A value as a flag takes it."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _figures(result: TrainResult) -> dict[str, Any]:
    """Name -> number, as the card's table shows them."""
    figures: dict[str, Any] = {
        "pairs to train on": result.pairs,
        "pairs for validation": result.validation_pairs,
        "steps": result.steps,
        "step of these weights": result.best_step,
    }
    if result.best_loss is not None:
        figures["validation loss at that step"] = f"{result.best_loss:.4g}"
    last = _last_metrics(result.output / "metrics.jsonl")
    for prefix, pairs in (
        ("", "the last batch"),
        ("validation/", "validation pairs, last validation"),
    ):
        for metric, name in REWARDS.items():
            if f"{prefix}{metric}" in last:
                figures[f"{name}, {pairs}"] = f"{last[prefix + metric]:.4g}"
    return figures


def _last_image(output: Path) -> str | None:
    """The last validation image as a link; none without images."""
    images = sorted((output / "pictures").glob("*.png"))
    return f"pictures/{quote(images[-1].name)}" if images else None


def _last_metrics(path: Path) -> dict[str, float]:
    """The last value of every metric; nothing without the file."""
    if not path.is_file():
        return {}
    from invdpo.train.checkpoint.metrics_file import read_rows

    metrics: dict[str, float] = {}
    for row in read_rows(path):
        metrics |= row
    return metrics


def hub_id(name: str) -> str | None:
    """The name if it is a Hub id and no path on this machine; else none."""
    return name if is_hub_id(name) and not Path(name).exists() else None


def base_facts(config: TrainConfig) -> dict[str, Any]:
    """What a card says of the base model: name, id, revision, and licence if it states one."""
    model_id = hub_id(config.model)
    if model_id is None:
        from invdpo.curate.shapes.bundle import bundled

        embedded = bundled(config.model)
        name = config.model if embedded else Path(config.model).resolve().name
        return {"base_model": name, **read_licence((embedded or Path(config.model)) / "README.md")}
    facts = {"base_model": model_id, "base_model_id": model_id}
    if commit := _commit(model_id, config.revision):
        facts["revision"] = commit
    licence = read_licence(_readme(model_id, config.revision))
    link = str(licence.get("license_link", "https://"))
    if not link.startswith("https://"):
        address = f"https://huggingface.co/{model_id}/blob/main/{link.lstrip('/')}"
        licence["license_link"] = address
    return facts | licence


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of the copy that was trained on, or else the revision that was asked for."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(model, "model_index.json", revision=revision)
    return Path(index).parent.name if isinstance(index, str) else revision


def _readme(model: str, revision: str | None) -> Path | None:
    """The README of the base model from the Hub or its cache; none if neither has it."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, "README.md", revision=revision, etag_timeout=5))
    except hub_failures(ValueError):
        return None

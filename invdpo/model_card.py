"""The card of a tuned model: what it was made of, by which command, and what came out.

MERGED: Where a tuned model comes from: the base model, its revision and its licence.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from invdpo import __version__
from invdpo.data_cards.licences import read_licence
from invdpo.options import Flag, flags
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.hub import hub_failures, is_hub_id
from invdpo.schemas.io.redact import redact, redact_paths

if TYPE_CHECKING:
    from invdpo.train import TrainResult


REWARDS = {"rewards/accuracies": "reward accuracy", "rewards/margins": "reward margin"}


def write_model_card(
    dataset: str | Path, config: TrainConfig, result: TrainResult, repo_id: str | None = None
) -> Path:
    """Write `README.md` beside the weights; its path.

    Args:
        dataset: Folder or Hub id, as it was given.
        config: As it was given, so that the embedded model goes by that name.
        result: What `invdpo.train.train` came to.
        repo_id: Where on the Hub the model will be, if anywhere.
    """
    from invdpo.data_cards import render_model_card
    from invdpo.schemas.io.files import write_atomically

    card = result.output / "README.md"
    facts = model_facts(dataset, config, result, repo_id)
    write_atomically(card, render_model_card(facts).encode())
    return card


def draft_card(dataset: str | Path, output: Path, config: TrainConfig, repo_id: str) -> str:
    """The card as far as it is known before the training; its head is already the final one."""
    from invdpo.data_cards import render_model_card

    return render_model_card(plan_facts(dataset, output, config, repo_id))


def model_facts(
    dataset: str | Path, config: TrainConfig, result: TrainResult, repo_id: str | None = None
) -> dict[str, Any]:
    """What `render_model_card` takes; the arguments are those of `write_model_card`."""
    output = result.output
    report = output / "training.json"
    return plan_facts(dataset, output, config, repo_id) | {
        "fingerprint": json.loads(report.read_bytes())["model"] if report.is_file() else None,
        "figures": [{"figure": name, "value": value} for name, value in _figures(result).items()],
        "curves": "curves.png" if (output / "curves.png").is_file() else None,
        "picture": _last_picture(output),
    }


def plan_facts(
    dataset: str | Path, output: Path, config: TrainConfig, repo_id: str | None = None
) -> dict[str, Any]:
    """What is known before the training."""
    residual = f" ({config.residual})" if config.objective == "inversion-dpo" else ""
    known, name = hub_id(str(dataset)), output.resolve().name
    facts = {
        "name": repo_id.split("/")[-1] if repo_id else name,
        "location": repo_id or f"path/to/{name}",
        "dataset": known or _local_name(Path(dataset)),
        "objective": f"{config.objective}{residual}",
        "tuning": config.tuning,
        "command": training_command(dataset, output, config),
        "config": {name: _text(redact(value)) for name, value in config.fingerprint().items()},
        "version": __version__,
    }
    return facts | ({"dataset_id": known} if known else {}) | base_facts(config)


def _local_name(dataset: Path) -> str:
    """A folder by its own name and its parent's, as `work/dataset`."""
    return f"{dataset.resolve().parent.name}/{dataset.name}"


def training_command(dataset: str | Path, output: Path, config: TrainConfig) -> str:
    """The command that trains so, with the options that differ from the defaults.

    Folders of this machine are cut to their last part, and every word is quoted for a shell.
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
    for place, pairs in (("", "the last batch"), ("validation/", "validation pairs, last look")):
        for metric, name in REWARDS.items():
            if f"{place}{metric}" in last:
                figures[f"{name}, {pairs}"] = f"{last[place + metric]:.4g}"
    return figures


def _last_picture(output: Path) -> str | None:
    """Where the last validation picture lies, as a link of the card; none without pictures."""
    found = sorted((output / "pictures").glob("*.png"))
    return f"pictures/{quote(found[-1].name)}" if found else None


def _last_metrics(path: Path) -> dict[str, float]:
    """Every metric's last value; nothing without the file."""
    if not path.is_file():
        return {}
    found: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found |= json.loads(line)
    return found


EMBEDDED = "embedded"


def hub_id(name: str) -> str | None:
    """The name if it is one of the Hub's and no path here; none otherwise."""
    return name if is_hub_id(name) and not Path(name).exists() else None


def base_facts(config: TrainConfig) -> dict[str, Any]:
    """What a card says of the base model: name, id, revision, and the licence if it tells one."""
    found = hub_id(config.model)
    if found is None:
        folder = _embedded() if config.model == EMBEDDED else Path(config.model)
        shown = config.model if config.model == EMBEDDED else redact_paths(config.model)
        return {"base_model": shown, **read_licence(folder / "README.md")}
    facts = {"base_model": found, "base_model_id": found}
    if commit := _commit(found, config.revision):
        facts["revision"] = commit
    told = read_licence(_readme(found, config.revision))
    link = str(told.get("license_link", "https://"))
    if not link.startswith("https://"):
        told["license_link"] = f"https://huggingface.co/{found}/blob/main/{link.lstrip('/')}"
    return facts | told


def _embedded() -> Path:
    from invdpo.curate.shapes import bundle

    return bundle.model_path()


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of the copy that was trained on, or the revision that was asked for."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(model, "model_index.json", revision=revision)
    return Path(index).parent.name if isinstance(index, str) else revision


def _readme(model: str, revision: str | None) -> Path | None:
    """The base model's README from the Hub or its cache; none when neither has it."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, "README.md", revision=revision, etag_timeout=5))
    except hub_failures(ValueError):
        return None

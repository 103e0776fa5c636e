"""Renders the cards. Names and prompts come from users, so they are escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from invdpo.data_cards.biases import known_biases
from invdpo.data_cards.escape import (
    bibtex,
    bibtex_key,
    cell,
    code,
    fenced,
    join_list,
    literal,
    plain,
)
from invdpo.data_cards.metadata import Stats, dataset_metadata, model_metadata
from invdpo.data_cards.renewing import join_card
from invdpo.data_cards.statistics import tables


def render_dataset_card(stats: Stats) -> str:
    """The README of a dataset.

    Args:
        stats: `name`, `num_train`, `num_validation`, `scorers`, `models`, `config_hash`, and if
            known `features` (a list of name and dtype), `license` with `license_name` and
            `license_link`, `dropped` (reason -> count), `description`, `images` (a number),
            `sources` (rows of what, name, revision), `config` (section -> option -> value),
            `version`, `report` (of the pairing), `plots` (rows of title and path), `cut` (by
            whom -> number of prompts) and `origin` (a sentence, for imported pairs).
    """
    report = stats.get("report") or {}
    roles = {name: facts.get("role") for name, facts in (report.get("scorers") or {}).items()}
    metadata = dataset_metadata(stats)
    config = stats.get("config")
    derived = {
        "held_out": [name for name, role in roles.items() if role == "held_out"],
        "reviewed": bool(report.get("reviews")),
        "provenance": [
            [plain(what), code(name), code(revision or "")]
            for what, name, revision in stats.get("sources", ())
        ],
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else None,
        "version": stats.get("version"),
        "origin": stats.get("origin"),
        "statistics": tables(report),
        "plots": stats.get("plots", ()),
        "biases": known_biases(stats["scorers"]),
        "key": bibtex_key(stats["name"]),
    }
    text = _environment().get_template("dataset_card.md.j2")
    return join_card(metadata, text.render(**{**stats, **derived, "metadata": metadata}))


def render_model_card(stats: Stats) -> str:
    """The README of a tuned model.

    Args:
        stats: `name`, `location` (folder or Hub id of the weights), `base_model`, `dataset`,
            `objective`, and if known `tuning`, `revision` and `fingerprint` of the base model,
            `license` with `license_name` and `license_link`, `figures` (rows of equal keys),
            `curves` and `picture` (links to images), `command`, `config` (option -> value),
            `version` and `description`; what is on the Hub is linked by `base_model_id` and
            `dataset_id`.
    """
    lora = {"lora": stats.get("tuning", "lora") == "lora"}
    return _render("model_card.md.j2", model_metadata(stats), {**stats, **lora})


def _render(template: str, metadata: dict[str, Any], stats: Stats) -> str:
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=100)
    text = _environment().get_template(template).render(metadata=metadata, **stats)
    return f"---\n{head}---\n\n{text.strip()}\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("invdpo.data_cards", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML: `plain` and `code` escape
    )
    environment.filters |= {
        "plain": plain,
        "code": code,
        "cell": cell,
        "fenced": fenced,
        "literal": literal,
        "several": join_list,
        "bibtex": bibtex,
    }
    return environment

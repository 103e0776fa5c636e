"""What an evaluation settles once it has its prompts: who judges, and what was trained on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from invdpo.curate.annotators.judges import unchosen
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.section import EMBEDDED_MODELS
from invdpo.schemas.ids import prompt_key
from invdpo.schemas.tables import Record

COMPOSITION = "composition"


@dataclass(frozen=True)
class TrainingPrompts:
    """The prompts of the set that a model was trained on."""

    dataset: str
    keys: Mapping[str, Collection[str]]
    """Split -> the `prompt_key` of its prompts."""

    def leak(self, prompts: Iterable[str]) -> str | None:
        """What to say of prompts that the training has seen; None without any."""
        asked = [prompt_key(prompt) for prompt in prompts]
        seen = {split: sum(key in keys for key in asked) for split, keys in self.keys.items()}
        total = sum(any(key in keys for keys in self.keys.values()) for key in asked)
        if not total:
            return None
        where = ", ".join(f"{count} in {split}" for split, count in seen.items() if count)
        return (
            f"Leak: {total} of {len(asked)} prompts are from the dataset that the model was "
            f"tuned on ({self.dataset}: {where}), so the figures say less about new prompts. "
            "Give other prompts: --source scenes, or --source file with a --path of prompts that "
            "were held out."
        )


def choose_judges(config: Config, base: str, prompts: Sequence[Record]) -> tuple[Config, list[str]]:
    """The configuration with `composition` where it can judge, and notes on where it can't.

    It is added where prompts have a scene graph and an annotator reads the images of `base`, and
    left out where no prompt has one. Raises `DataError` when no scorer is left.
    """
    graphs, asked = any(row["graph"] for row in prompts), config.score.scorers
    others = tuple(name for name in asked if name != COMPOSITION)
    if graphs:
        judged = _with_scorers(config, (COMPOSITION, *others))
        usable = base in EMBEDDED_MODELS or not unchosen(judged, ["score"])
        return (judged, []) if usable else (config, [])
    if COMPOSITION not in asked:
        return config, []
    if not others:
        text = f"None of {len(prompts)} prompts has a scene graph, which {COMPOSITION} needs."
        raise DataError(f"{text} Choose other scorers, such as --scorers clip.")
    note = f"{COMPOSITION} is left out: none of {len(prompts)} prompts has a scene graph."
    return _with_scorers(config, others), [note]


def _with_scorers(config: Config, names: tuple[str, ...]) -> Config:
    score = config.score.model_copy(update={"scorers": names})
    return config.model_copy(update={"score": score})

"""`rounds.json`: what the rounds of a folder are made of, and what came of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from invdpo.schemas import WorkspaceError
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import write_atomically

FORMAT = 1
NAME = "rounds.json"
MAX_BYTES = 200_000_000
"""It holds a few figures of every validation prompt and round."""


@dataclass(frozen=True)
class RoundResult:
    """One model: the base model as round 0, then what each round trained."""

    number: int
    model: str
    """Where it is, relative to the folder of the rounds; the base model by its name."""
    revision: str
    """Hash of its weights."""
    judgement: Mapping[str, Any]
    """See `curate.evaluation.judgement.Judgement`; empty where the round was not evaluated."""
    pairs: int = 0
    """Pairs of this round alone."""
    trained_pairs: int = 0
    """Pairs that it was trained on, those of earlier rounds included."""
    prompts: int = 0
    prompts_with_pair: int = 0
    cost: Mapping[str, float] = field(default_factory=dict)
    """UNet sample-forwards and seconds, by what they were spent on."""
    guidance_scale: float | None = None
    """At which it was judged, the best of several; None where there was nothing to choose."""
    diversities: Mapping[str, float | None] = field(default_factory=dict)
    """At each of several guidance scales."""
    prompts_read: int | None = None
    """Prompts of the source up to its last one, with those that say the same as an earlier round's
    and were passed over; None in records of earlier versions."""
    lower_is_better: Sequence[str] | None = None
    """The scorers of which less is better; None in records of earlier versions."""

    def diversity_at(self, scale: float | None) -> float | None:
        """Of its images at a guidance scale, which changes it by itself."""
        own: float | None = self.judgement["diversity"]
        return self.diversities.get(f"{scale:g}", own) if scale is not None else own


@dataclass(frozen=True)
class Record:
    """The file's content."""

    config: Mapping[str, Any]
    """What decides the results: the fingerprints of all sections."""
    results: tuple[RoundResult, ...] = ()
    changes: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    """Number of a round -> option -> how it was shown before that round, and from then on."""

    @property
    def used_prompts(self) -> int:
        """Prompts of the source that all rounds so far have read; their validation has others."""
        return sum(
            result.prompts if result.prompts_read is None else result.prompts_read
            for result in self.results
        )

    @property
    def evaluated(self) -> tuple[RoundResult, ...]:
        """The models that were evaluated, each with the pairs and the cost since the one before."""
        models: list[RoundResult] = []
        since: list[RoundResult] = []
        for result in self.results:
            since.append(result)
            if result.judgement:
                models.append(_sum_up(since))
                since = []
        return tuple(models)

    def write(self, root: Path) -> None:
        """Write it, completely or not at all."""
        content = {"format": FORMAT, "config": self.config, "changes": self.changes}
        rounds = [asdict(result) for result in self.results]
        text = json.dumps({**content, "rounds": rounds}, indent=1)
        write_atomically(root / NAME, text.encode())


def _sum_up(rounds: Sequence[RoundResult]) -> RoundResult:
    """The last of these rounds, with what all of them were made from and cost."""
    cost = Counter[str]()
    for result in rounds:
        cost.update(result.cost)
    return replace(
        rounds[-1],
        pairs=sum(result.pairs for result in rounds),
        trained_pairs=sum(result.trained_pairs for result in rounds),
        prompts=sum(result.prompts for result in rounds),
        prompts_with_pair=sum(result.prompts_with_pair for result in rounds),
        cost=dict(cost),
    )


def belongs_to_round(tuned: Path) -> bool:
    """Whether a round writes its model to this folder, `WORK/round-00N/tuned`."""
    return (tuned.absolute().parent.parent / NAME).is_file()


def read_record(root: Path) -> Record | None:
    """What a folder says of its rounds; None without any. Raises `WorkspaceError` if damaged."""
    path = root / NAME
    if not path.exists():
        return None
    try:
        content = read_json(read_file(path, MAX_BYTES), path, dict, max_bytes=MAX_BYTES)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        results = tuple(RoundResult(**result) for result in content["rounds"])
        return Record(content["config"], results, content.get("changes", {}))
    except (ValueError, KeyError, TypeError):
        text = f"{path}: damaged, or written by another version of invdpo."
        raise WorkspaceError(f"{text} Remove it and run again; finished steps are kept.") from None

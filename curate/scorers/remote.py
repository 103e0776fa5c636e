"""`remote`: a scorer behind HTTP, for what needs an environment of its own.

docs/scorers.md states the contract; tools/remote_scorer.py is a server of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from invdpo.curate.batching import Failure
from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.curate.clients.http import AnswerError, Endpoint, check_url, shown
from invdpo.curate.scorers.base import SCORERS, Judged
from invdpo.schemas import ConfigError
from invdpo.schemas.config.score import ScoreConfig

PROTOCOL = 1
LONGEST = 200
"""Characters of a reason that are kept."""


@SCORERS.register("remote")
class RemoteScorer:
    """Whatever the server says. Raises `ConfigError` without an address, `AnswerError` later."""

    name = "remote"

    def __init__(self, config: ScoreConfig) -> None:
        self.needs: Sequence[str] = config.remote_needs
        self.higher_is_better = not config.remote_lower_is_better
        self._url = config.remote_url
        self._endpoint = Endpoint(
            config.remote_url or "", config.remote_key_variable, config.remote_timeout
        )

    @cached_property
    def revision(self) -> str:
        """Name and revision that the server gives itself."""
        if self._url is None:
            raise ConfigError("score.remote_url: missing; the scorer `remote` needs a server.")
        check_url(self._url, "score.remote_url")
        answer = self._endpoint.get()
        names = (
            [answer.get(key) for key in ("scorer", "revision")] if isinstance(answer, dict) else []
        )
        if not names or not all(isinstance(name, str) and name for name in names):
            raise AnswerError(f"{shown(self._url)}: no scorer; expected `scorer` and `revision`.")
        if answer.get("protocol") != PROTOCOL:
            protocol = answer.get("protocol")
            raise AnswerError(f"{shown(self._url)}: protocol {protocol!r}; this is {PROTOCOL}.")
        return f"{names[0]}@{names[1]}"

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged | Failure]:
        """One verdict a case."""
        sent = {str(n): self._question(candidate) for n, candidate in enumerate(candidates)}
        question = {"protocol": PROTOCOL, "cases": [{"id": n} | c for n, c in sent.items()]}
        answer = self._endpoint.post(question)
        rows = answer.get("scores") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise AnswerError(f"{shown(self._url or '')}: no list `scores` in the answer.")
        by_id = {row.get("id"): row for row in rows if isinstance(row.get("id"), str)}
        if len(by_id) != len(rows) or not by_id.keys() <= sent.keys():
            raise AnswerError(f"{shown(self._url or '')}: answers to what was not asked.")
        return [_verdict(by_id.get(n)) for n in sent]

    def _question(self, candidate: Candidate) -> dict[str, Any]:
        """What the server is told of a case: what `remote_needs` names, and no more."""
        parts: dict[str, Callable[[], Any]] = {
            IMAGE: lambda: base64.b64encode(candidate.image_bytes).decode(),
            PROMPT: lambda: candidate.prompt,
            GRAPH: lambda: candidate.graph.to_dict(),
            OBSERVED: lambda: candidate.observed_graph.to_dict(),
        }
        return {name: parts[name]() for name in self.needs}


def _verdict(row: Mapping[str, Any] | None) -> Judged | Failure:
    if row is None:
        return Failure("the server gave no score")
    if row.get("error"):
        return Failure(str(row["error"])[:LONGEST])
    score, components = row.get("score"), row.get("components") or {}
    if not _number(score) or not isinstance(components, dict):
        return Failure("the server gave no finite number")
    if not all(_number(value) for value in components.values()):
        return Failure("the server gave a component that is no finite number")
    return Judged(float(row["score"]), {str(name): float(v) for name, v in components.items()})


def _number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(float(value))  # type: ignore[arg-type]

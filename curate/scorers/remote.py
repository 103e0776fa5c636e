"""`remote`: a scorer behind HTTP, for models that need an environment of their own.

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
from invdpo.curate.clients.http import AnswerError, Endpoint, check_url, redact_url
from invdpo.curate.images import for_viewers
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas import ConfigError
from invdpo.schemas.config.score import ScoreConfig

PROTOCOL = 1
MAX_REASON = 200
"""Characters of a reason that are kept."""


@SCORERS.register("remote")
class RemoteScorer(Scorer):
    """The scores of a server. Raises `ConfigError` without a URL, `AnswerError` later."""

    name = "remote"
    asks_server = True

    def __init__(self, config: ScoreConfig) -> None:
        self.needs: Sequence[str] = config.remote_needs
        self.higher_is_better = not config.remote_lower_is_better
        self._url = config.remote_url
        self._endpoint = Endpoint(
            config.remote_url or "", config.remote_key_variable, config.remote_timeout
        )

    @cached_property
    def revision(self) -> str:
        """Name and revision that the server states."""
        if self._url is None:
            raise ConfigError("score.remote_url: missing; the scorer `remote` needs a server.")
        check_url(self._url, "score.remote_url")
        url, answer = redact_url(self._url), self._endpoint.get()
        keys = ("scorer", "revision")
        names = [answer.get(key) for key in keys] if isinstance(answer, dict) else []
        if not names or not all(isinstance(name, str) and name for name in names):
            raise AnswerError(f"{url}: not a scorer; expected `scorer` and `revision`.")
        if (protocol := answer.get("protocol")) != PROTOCOL:
            raise AnswerError(f"{url}: protocol {protocol!r}; this is {PROTOCOL}.")
        return f"{names[0]}@{names[1]}"

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged | Failure]:
        """One score a candidate."""
        cases = {str(n): self._payload(candidate) for n, candidate in enumerate(candidates)}
        request = {"protocol": PROTOCOL, "cases": [{"id": n} | c for n, c in cases.items()]}
        url, answer = redact_url(self._url or ""), self._endpoint.post(request)
        rows = answer.get("scores") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise AnswerError(f"{url}: no list `scores` in the answer.")
        by_id = {row.get("id"): row for row in rows if isinstance(row.get("id"), str)}
        if len(by_id) != len(rows) or not by_id.keys() <= cases.keys():
            raise AnswerError(f"{url}: answers for candidates that were not sent.")
        return [_judged(by_id.get(n)) for n in cases]

    def _payload(self, candidate: Candidate) -> dict[str, Any]:
        """The part of a candidate that is sent: what `remote_needs` names, and no more."""
        parts: dict[str, Callable[[], Any]] = {
            IMAGE: lambda: base64.b64encode(for_viewers(candidate.image_bytes).content).decode(),
            PROMPT: lambda: candidate.prompt,
            GRAPH: lambda: candidate.graph.to_dict(),
            OBSERVED: lambda: candidate.observed_graph.to_dict(),
        }
        return {name: parts[name]() for name in self.needs}


def _judged(row: Mapping[str, Any] | None) -> Judged | Failure:
    if row is None:
        return Failure("the server gave no score")
    if row.get("error"):
        return Failure(str(row["error"])[:MAX_REASON])
    score, components = row.get("score"), row.get("components") or {}
    if not _is_number(score) or not isinstance(components, dict):
        return Failure("the server gave no finite number")
    if not all(_is_number(value) for value in components.values()):
        return Failure("the server gave a component that is no finite number")
    return Judged(float(row["score"]), {str(name): float(v) for name, v in components.items()})


def _is_number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(float(value))  # type: ignore[arg-type]

"""`shapes`: scenes of the embedded world, sampled as graphs and put into words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.shapes import scenes, world
from invdpo.schemas import ConfigError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import derived_seed
from invdpo.schemas.io.text import Counts

PATIENCE = 2_000
"""Draws without a new prompt after which the world counts as exhausted."""


@PROMPT_SOURCES.register("shapes")
class ShapesSource:
    """Distinct prompts of one split of the embedded world. Raises `ConfigError` given a path."""

    name = "shapes"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is not None:
            raise ConfigError(
                f"prompts.path: found {config.path!r}; only the source `file` reads one. "
                "Give --source file, or no path."
            )
        self._config = config

    def fingerprint(self) -> dict[str, Any]:
        """Split, seed and number decide all."""
        return self._config.fingerprint()

    def counts(self) -> Counts:
        """No model is asked."""
        return {}

    def __call__(self) -> Iterator[Draft]:
        """Prompts until the split has no new ones."""
        rng = np.random.default_rng(derived_seed("prompts", self._config.split, self._config.seed))
        seen: set[str] = set()
        idle = 0
        while idle < PATIENCE:
            graph = scenes.sample_graph(rng, self._config.split)
            prompt = world.caption(graph)
            idle = idle + 1 if prompt in seen else 0
            if not idle:
                seen.add(prompt)
                yield Draft(prompt, graph)

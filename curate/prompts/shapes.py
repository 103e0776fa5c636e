"""`shapes`: prompts of the embedded world, sampled as scene graphs and put into words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.shapes import scenes, world
from invdpo.schemas import ConfigError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import derived_seed

MAX_IDLE_DRAWS = 2_000
"""Draws without a new prompt after which the world counts as exhausted."""


@PROMPT_SOURCES.register("shapes")
class ShapesSource(PromptSource):
    """Distinct prompts of one split of the embedded world. Raises `ConfigError` for a path."""

    name = "shapes"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is not None:
            raise ConfigError(
                f"prompts.path: found {config.path!r}; only the sources `file` and `hub` use a "
                "path. Give --source file, or no path."
            )
        self._config = config

    def fingerprint(self) -> dict[str, Any]:
        """Split, seed and number of prompts."""
        return self._config.fingerprint()

    def __call__(self) -> Iterator[Draft]:
        """Prompts until the split has no new ones."""
        rng = np.random.default_rng(derived_seed("prompts", self._config.split, self._config.seed))
        seen: set[str] = set()
        idle = 0
        while idle < MAX_IDLE_DRAWS:
            graph = scenes.sample_graph(rng, self._config.split)
            prompt = world.caption(graph)
            idle = idle + 1 if prompt in seen else 0
            if not idle:
                seen.add(prompt)
                yield Draft(prompt, graph)

"""What decides the prompts of a workspace.

Prompts that an earlier version read are kept, if this one reads them in the same way.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from invdpo.curate.prompts.base import PROMPT_SOURCES, PromptSource, collect, selection
from invdpo.curate.storage.parts import Fingerprint, exists, read_header, read_part
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.config.prompts import PromptsConfig

REVISED = {"parser", "reader"}
"""Keys of a source's fingerprint that say by which rules it read."""


def make_source(config: PromptsConfig) -> PromptSource:
    """The source that the configuration names."""
    return make_plugin(PROMPT_SOURCES, config.source, config)


def without_asking(config: PromptsConfig) -> PromptSource:
    """The same, such that nothing is asked of a model, which would cost."""
    asks = config.parser == "vlm"
    return make_source(config.model_copy(update={"parser": "none"}) if asks else config)


def prompts_fingerprint(path: Path, config: PromptsConfig, source: PromptSource) -> Fingerprint:
    """The fingerprint that the table at `path` should have, made from this source."""
    decisive = source.fingerprint() | selection(config) | {**source.origin}
    return _reread(path, {"prompts": decisive}, without_asking(config), config)


def _reread(
    path: Path, wanted: Fingerprint, source: PromptSource, config: PromptsConfig
) -> Fingerprint:
    """The fingerprint that the table at `path` should have.

    It is the stored one when that differs from the `wanted` one by the revision of our rules alone,
    and these give the same prompts. Graphs by a model are not asked for again.
    """
    if not exists(path):
        return wanted
    with suppress(WorkspaceError):  # a damaged table is for the step to report, or to repair
        stored = read_header(path).fingerprint
        old, new = stored.get("prompts", {}), wanted["prompts"]
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        parsers = [str(values.get("parser", "")).split(" ") for values in (old, new)]
        by_model = parsers[0][0] == "vlm"
        alike = parsers[0] == parsers[1] if by_model else parsers[0][0] == parsers[1][0]
        if changed and changed <= REVISED and alike:
            column = "prompt" if by_model else "prompt_id"
            chosen = selection(config, asked=False)
            rows = collect(source(), source.name, config.num_prompts, **chosen).rows
            if [row[column] for row in rows] == read_part(path, [column])[column].to_pylist():
                return stored
    return wanted

"""Whether a model would be judged today as another one was before: same prompts, same judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators.judges import reads_graphs
from invdpo.curate.prompts.fingerprint import make_source, prompts_fingerprint
from invdpo.curate.score import Score
from invdpo.curate.storage.parts import differences, exists, list_parts, read_header
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config


def changed_judgement(ws: Workspace, config: Config) -> list[str]:
    """What `config` would do otherwise than was done in `ws`, a line each.

    Tables that are not there say nothing. Raises what judges raise that lack their weights.
    """
    lines = []
    if exists(ws.prompts_path):
        stored = read_header(ws.prompts_path).fingerprint
        source = make_source(config.prompts)
        lines += differences(stored, prompts_fingerprint(ws.prompts_path, config.prompts, source))
    for folder, section, made_by in _judges(ws, config):
        for part in list_parts(folder)[:1]:
            stored = read_header(part).fingerprint
            lines += differences({section: stored.get(section, {})}, {section: made_by})
    return lines


def _judges(ws: Workspace, config: Config) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """The folder of each table of judgements, and what its header says of the judge."""
    if reads_graphs(config):
        for name in config.annotate.annotators:
            stage = Annotate(name, config.annotate)
            about = {"annotator": stage.name, **stage.made_by}
            yield ws.annotations_dir(stage.name), "annotate", about
    for name in config.score.scorers:
        scorer = Score(name, config.score)
        yield ws.scores_dir(scorer.name), "score", {"scorer": scorer.name, **scorer.made_by}

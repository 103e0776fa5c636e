"""Whatever stands in a file that is read, the answer is a result or an error in plain words.

Seeded, so that every run tries the same files; no case may take more than moments.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from invdpo.curate.annotators.imported import ImportAnnotator
from invdpo.curate.clients.cache import AnswerCache
from invdpo.curate.prompts.base import prompt_row
from invdpo.curate.prompts.file import FileSource
from invdpo.curate.report.findings import read_findings
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.data_cards.renewing import join_card, renewed
from invdpo.hub.manifest import Manifest, read_manifest
from invdpo.schemas.config import Config
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.train.diagnostics.overtraining import overtraining
from invdpo.train.monitoring.curves import read_series
from invdpo.trained import read_training
from tests.odd_files import WHOLE, answers, as_json, cases

STORED = Path(__file__).parent / "stored" / "whole"
GRAPH = {
    "items": [{"item_id": 0, "label": "circle", "box": [0.1, 0.1, 0.5, 0.5]}],
    "relations": [{"item1": 0, "relation": "left of", "item2": 0}],
}
PROMPT = {"prompt": "a red circle left of a dog", "graph": GRAPH}
COUNTED = {"prompt": "two dogs", "tag": "counting", "include": [{"class": "dog", "count": 2}]}
WORDS = {
    "attributes": {"color": ["red", "blue"]},
    "numbers": {"two": 2},
    "plurals": {"men": "man"},
    **{key: ["word"] for key in ("unchanged", "function_words", "openings", "activities")},
    "relations": {"left of": ["left of"]},
    "sampling": {
        "animate": ["dog"],
        "animate_attributes": ["red"],
        "things": ["cup"],
        "attributes": {"color": ["red"]},
        "spatial": ["left of"],
        "activities": ["word"],
        "counts": [2],
    },
}
METRICS = {"step": 1, "loss": 0.5, "rewards/chosen": 0.1}
TRAINING = {
    "config": {"model": "embedded", "revision": None},
    "model": "abc",
    "data": {"dataset": "d", "prompts": {"train": ["a"]}},
}
MANIFEST = Manifest({"prompts": {"n": 1}}, {"data/a": {"sha256": "0", "bytes": 5}}, 3, "0")
HEAD = {"license": "mit", "configs": [{"config_name": "default"}], "more": {"list": [1]}}
CARD = join_card(HEAD, "# x\n\n<!-- invdpo:begin a -->\nold\n<!-- invdpo:end a -->\n")


def parquet(record: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([record | {"graph": json.dumps(GRAPH)}] * 3), file)
    return file.getvalue()


def read_prompts(path: Path) -> None:
    for draft in FileSource(PromptsConfig(source="file", path=str(path)))():
        prompt_row(draft, "file")


def read_graphs(path: Path) -> None:
    annotator = ImportAnnotator(AnnotateConfig(annotators=("import",), import_path=str(path)))
    annotator([])
    _ = annotator._graphs


def read_pushed(path: Path) -> None:
    manifest = read_manifest(path.read_bytes(), "lab/set")
    _ = manifest.dataset, manifest.to_bytes(), manifest.pairs + 1


FILES: dict[str, tuple[tuple[bytes, Any], Callable[[Path], object]]] = {
    "invdpo.yaml": (
        (dump_config(Config()).encode(), yaml.safe_load(dump_config(Config()))),
        load_config,
    ),
    "words.yaml": (as_json(WORDS), lambda path: read_vocabulary(str(path))),
    "prompts.jsonl": (as_json(PROMPT), read_prompts),
    "prompts.json": (as_json([PROMPT, COUNTED]), read_prompts),
    "prompts.csv": ((b'prompt,graph\n"a, dog",\ncat,"{""items"":[]}"\n', None), read_prompts),
    "prompts.txt": ((b"a red circle\na dog and a cat\n", None), read_prompts),
    "prompts.parquet": ((parquet({"prompt": "a dog"}), None), read_prompts),
    "graphs.jsonl": (as_json({"candidate_id": "x", "graph": GRAPH}), read_graphs),
    "graphs.json": (as_json([{"candidate_id": "x", **GRAPH}]), read_graphs),
    "graphs.parquet": ((parquet({"candidate_id": "x"}), None), read_graphs),
    "README.md": (
        (CARD.encode(), None),
        lambda path: renewed(CARD, path.read_bytes().decode(errors="replace")),
    ),
    "pairs.report.json": (
        as_json(json.loads((STORED / "pairs.report.json").read_bytes())),
        read_findings,
    ),
    "invdpo.json": (as_json(json.loads(MANIFEST.to_bytes())), read_pushed),
    "training.json": (as_json(TRAINING), lambda path: read_training(path.parent)),
    "metrics.jsonl": (as_json(METRICS), lambda path: [*overtraining(read_series(path), 0.1)]),
}
"""Name -> what a sound one holds, and what reads it."""


@pytest.mark.parametrize("name", FILES)
def test_single_files(name: str, tmp_path: Path) -> None:
    (content, value), read = FILES[name]
    for number, odd in enumerate(cases(content, value)):
        path = tmp_path / str(number) / name  # some readers remember what they read
        path.parent.mkdir()
        path.write_bytes(odd)
        answers(read, path)


def test_the_head_of_a_card_and_its_hashes() -> None:
    texts = [f"---\n{odd.decode(errors='replace')}\n---\nbody" for odd in cases(*as_json(HEAD))]
    texts += [f"x\n<!-- invdpo:head {{{odd.decode(errors='replace')}}} -->" for odd in WHOLE]
    for text in texts:
        answers(renewed, CARD, text)


def test_what_a_known_key_holds(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for odd in WHOLE:
        for before in (b"generate: ", b"generate:\n  models: ", b"pair:\n  weights: "):
            path.write_bytes(before + odd)
            answers(lambda: load_config(path))


def test_answers_of_models_in_the_cache(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("abcdef", "x")
    (path,) = tmp_path.rglob("*.json")
    for odd in cases(*as_json({"answer": "x"})):
        path.write_bytes(odd)
        assert cache.get("abcdef") is None or isinstance(cache.get("abcdef"), str)

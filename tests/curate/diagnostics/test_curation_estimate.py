"""What curation would take: tokens, and what is not timed. The whole is in tests/invdpo/cli."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from huggingface_hub import constants

from invdpo.cli.curate_estimate import estimate_text
from invdpo.curate.annotators.judges import check_judges
from invdpo.curate.candidate import OBSERVED
from invdpo.curate.checkpoints.model_files import StoredModel
from invdpo.curate.clients.questions import Question
from invdpo.curate.diagnostics import estimate
from invdpo.curate.diagnostics.estimate import (
    NO_INPUT,
    NOT_HERE,
    SERVER,
    CurationEstimate,
    StepEstimate,
)
from invdpo.curate.diagnostics.timing import Timed, time_judging
from invdpo.curate.diagnostics.token_costs import token_costs
from invdpo.curate.images import encode
from invdpo.curate.runner import StepResult
from invdpo.curate.score import Score
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import OfflineError
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.tables import OK, PROMPTS, Record
from tests.workspaces import built, prompt

__all__ = ["built"]
DETECTOR = AnnotateConfig().detector_model


def question(image: bytes | None = None) -> Question[None]:
    return Question("s" * 8, "t" * 30, {}, lambda _: None, image)


def test_tokens_are_counted_by_letters_and_pixels() -> None:
    """(8 + 30 + 2) / 4 = 10 of text; 30·50 / 750 = 2 of the image; 100 questions."""
    import numpy as np

    image = encode(np.zeros((30, 50, 3), np.uint8))
    config = VlmOptions(vlm_max_tokens=7, vlm_price_input=1000.0, vlm_price_output=2000.0)
    costs = token_costs(config, 100, [question(image)])
    assert (costs.tokens_in, costs.most_tokens_out) == (1200, 700)
    assert costs.most_cost == pytest.approx(2.6)
    assert token_costs(VlmOptions(), 100, [question()]).most_cost is None
    assert token_costs(config, 100, []).tokens_in is None


def test_candidates_without_what_a_judge_needs_are_not_timed() -> None:
    stage = Score("composition", ScoreConfig())
    row = {"candidate_id": "a", "status": "ok", "error": None, "graph": None}
    assert time_judging(stage, [row]) is None
    assert time_judging(stage, []) is None


def test_the_text_tells_what_is_not_known() -> None:
    models = (StoredModel("lab/a", 2_000_000, 1_000_000), StoredModel("lab/b", None, None))
    asking = token_costs(VlmOptions(vlm_budget_tokens=5000), 3, [question()])
    steps = (
        StepEstimate("generate", 10, 2.0),
        StepEstimate(
            "annotate vlm", 10, note="not timed: it would send requests to a server", asking=asking
        ),
        StepEstimate("score clip", 10, note=NOT_HERE, models=models),
        StepEstimate("score brisque", 0, models=(StoredModel("lab/c", 1, 1),)),
    )
    lines = estimate_text(CurationEstimate(5, steps, None, None, None, 20.0)).splitlines()
    assert [line.split("  ", 1)[1].strip() for line in lines] == [
        "5",
        "10 images, about 2 s each: 20 s",
        "10 images; not timed: it would send requests to a server",
        "10 images; not timed: its weights are not on this machine",
        "lab/a: 1.0 MB of 2.0 MB to download",
        "lab/b: size unknown: not on this machine, and the Hub can't be reached",
        "3 questions, tokens: about 30 in, at most 6,144 out; budget: 5,000 tokens",
        "not known",
        "not known of images",
        "about 20 s, without annotate vlm, score clip, measured by a few calls on this machine",
    ]


def test_the_text_of_a_step_without_images_is_short() -> None:
    assert estimate_text(CurationEstimate(5, (), 0, 0, 1, 0.0)) == "prompts  5"


def expected(
    ws: Workspace, names: list[str], sections: dict[str, Any], **counts: dict[str, Any]
) -> CurationEstimate:
    """The estimate of steps; what a step's dry run counted is given by its name."""
    results = [StepResult(name, "", **count) for name, count in counts.items()]
    return estimate.estimate(ws, load_config(None, sections), names, results)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is here, and judging an image takes two seconds."""
    monkeypatch.setattr(estimate, "look_up", lambda files: StoredModel(files.name, 7, 0))
    monkeypatch.setattr(
        estimate, "time_judging", lambda _, rows: Timed(2.0, rows) if rows else None
    )


@pytest.mark.usefixtures("stored")
def test_judges_see_images_of_the_workspace_and_servers_are_not_asked(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 prompts with 3 images; 4 of them are shown, with their prompts and stored graphs."""
    seen: list[list[Record]] = []

    def time_judging(_: object, rows: list[Record]) -> Timed:
        seen.append(rows)
        return Timed(2.0, rows)

    monkeypatch.setattr(estimate, "time_judging", time_judging)
    vlm = {"vlm_url": "http://127.0.0.1:9/v1", "vlm_model": "m", "vlm_max_tokens": 10}
    sections = {
        "annotate": {"annotators": ["shapes", "vlm"], **vlm},
        "score": {"scorers": ["composition"]},
    }
    whole = expected(
        Workspace(built),
        ["generate", "annotate", "score"],
        sections,
        generate={"resumed": 18},
        **{"annotate shapes": {"resumed": 18}},
    )
    assert [(s.step, s.images, s.seconds, s.note) for s in whole.steps] == [
        ("generate", 0, None, ""),
        ("annotate shapes", 0, None, ""),
        ("annotate vlm", 18, None, SERVER),
        ("score composition", 18, 36.0, ""),
    ]
    assert (whole.prompts, whole.seconds, whole.image_bytes) == (6, 36.0, 0)
    (rows,) = seen
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert all(row["image"]["bytes"] and row["prompt"] and row[OBSERVED] for row in rows)
    asking = whole.steps[2].asking
    assert asking is not None
    assert (asking.questions, asking.most_tokens_out) == (18, 180)
    assert asking.tokens_in is not None
    assert asking.tokens_in > 18 * 100


def test_models_that_are_not_here_are_counted_once_and_not_timed(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "look_up", lambda _: StoredModel("lab/a", 7, 5))
    counts = {"generate": {"planned": 12, "resumed": 6}}
    sections = {"score": {"scorers": ["clip"]}}
    whole = expected(Workspace(built), ["generate", "score"], sections, **counts)
    assert [(s.step, s.images, s.note) for s in whole.steps] == [
        ("generate", 12, NOT_HERE),
        ("score clip", 18, NOT_HERE),
    ]
    assert (whole.download_bytes, whole.image_bytes, whole.seconds) == (5, None, 0.0)


def test_without_the_hub_all_else_is_told(
    built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A step of which it is unknown what is done counts all images; a given size tells the disk."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    sections: dict[str, Any] = {
        "generate": {"model": "lab/a", "resolution": "20x10", "num_candidates": 5},
        "annotate": {"annotators": ["detector", "shapes"]},
        "score": {"scorers": ["composition"], "annotator": "shapes"},
    }
    names, config = ["generate", "annotate", "score"], load_config(None, sections)
    check_judges(config, names, offline=True)
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set"):
        check_judges(config, names)
    whole = expected(Workspace(built), names, sections, **{"score composition": {"resumed": 30}})
    assert [(s.step, s.images, s.note, [m.name for m in s.models]) for s in whole.steps] == [
        ("generate", 30, NOT_HERE, ["lab/a"]),
        ("annotate detector", 30, NOT_HERE, [DETECTOR]),
        ("annotate shapes", 30, "", []),
        ("score composition", 0, "", []),
    ]
    assert (whole.download_bytes, whole.image_bytes) == (None, 30 * 20 * 10 * 3 * 0.7)


@pytest.mark.usefixtures("stored")
def test_drawing_is_timed_on_a_prompt_that_can_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rejected prompt is passed over; without any other nothing is timed."""
    asked: list[str] = []
    image = {"status": OK, "image": {"bytes": b"12345"}}

    def time_drawing(_: object, row: Record) -> Timed:
        asked.append(row["prompt"])
        return Timed(3.0, [image, image | {"image": {"bytes": b"1234567"}}])

    monkeypatch.setattr(estimate, "time_drawing", time_drawing)
    ws, good = Workspace(tmp_path), prompt(1)
    rejected = prompt(0) | {"status": "rejected", "error": "too long"}
    counts = {"prompts": {"resumed": 2}, "generate": {"planned": 10}}
    for rows, seconds, note in (([rejected], None, NO_INPUT), ([rejected, good], 30.0, "")):
        write_part(ws.prompts_path, pa.Table.from_pylist(rows, PROMPTS), {})
        whole = expected(ws, ["generate"], {}, **counts)
        assert [(s.seconds, s.note) for s in whole.steps] == [(seconds, note)]
    assert asked == [good["prompt"]]
    assert whole.image_bytes == 60


@pytest.mark.usefixtures("stored")
def test_before_there_are_prompts_or_images(tmp_path: Path) -> None:
    """Graphs of 7 prompts would be asked for, and 7 x 5 images judged, of which none is here."""
    file = tmp_path / "prompts.txt"
    file.write_text("a red cat\ntwo dogs\n")
    asks = {"parser": "vlm", "vlm_url": "http://127.0.0.1:9/v1", "vlm_model": "m"}
    sections = {
        "prompts": {"source": "file", "path": str(file), **asks},
        "generate": {"num_candidates": 5},
        "score": {"scorers": ["composition"]},
    }
    ws = Workspace(tmp_path / "work")
    whole = expected(ws, ["prompts", "score"], sections, prompts={"planned": 7})
    parsing, scoring = whole.steps
    assert parsing.asking is not None
    assert (parsing.note, parsing.asking.questions) == (SERVER, 7)
    assert parsing.asking.tokens_in is not None
    assert (scoring.images, scoring.note) == (35, NO_INPUT)
    done = expected(ws, ["prompts"], sections, prompts={"resumed": 7}).steps[0].asking
    assert done is not None
    assert (done.questions, done.tokens_in, whole.prompts) == (0, None, 7)

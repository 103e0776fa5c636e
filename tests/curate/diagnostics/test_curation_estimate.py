"""What curation would take: tokens, and what is not timed. The whole is in tests/invdpo/cli."""

from __future__ import annotations

import pytest

from invdpo.cli.curate_estimate import estimate_text
from invdpo.curate.checkpoints.model_files import StoredModel
from invdpo.curate.clients.questions import Question
from invdpo.curate.diagnostics.estimate import NOT_HERE, CurationEstimate, StepEstimate
from invdpo.curate.diagnostics.timing import time_judging
from invdpo.curate.diagnostics.token_costs import token_costs
from invdpo.curate.images import encode
from invdpo.curate.score import Score
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.config.vlm import VlmOptions


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

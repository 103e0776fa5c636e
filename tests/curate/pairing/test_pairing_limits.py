"""Limits: candidates whose raw score is beyond one take no part."""

import pytest

from invdpo.curate.pairing import cut_pairs
from invdpo.schemas import ConfigError
from tests.curate.pairing.pairing_tables import candidates, config, prompts, scored


def test_candidates_over_a_limit_are_left_out() -> None:
    names = {"x": "p0", "y": "p0", "z": "p0", "u": "p0"}
    scores = {
        "a": scored({"x": 0, "y": 1, "z": 2, "u": 3}),
        "nsfw": scored({"x": 0.8, "y": 0.1, "z": 0.81, "u": None}, "nsfw"),
    }
    kept = config(limits={"nsfw": 0.8})
    pairs, report = cut_pairs(prompts(1), candidates(names), scores, kept)
    assert pairs.select(["chosen_id", "rejected_id"]).to_pylist() == [
        {"chosen_id": "y", "rejected_id": "x"}
    ]
    assert report["candidates"]["dropped"] == {"no nsfw score": 1, "nsfw over 0.8": 1}
    assert config().fingerprint() == config(limits={}).fingerprint()
    assert "limits" not in config().fingerprint()
    assert kept.fingerprint()["limits"] == {"nsfw": 0.8}


def test_a_limit_needs_scores() -> None:
    names = {"x": "p0", "y": "p0"}
    scores = {"a": scored({"x": 0, "y": 1})}
    with pytest.raises(ConfigError, match=r"no scores of 'nsfw'; there are: a\. First run"):
        cut_pairs(prompts(1), candidates(names), scores, config(limits={"nsfw": 0.5}))

"""What of a configuration comes along with data from another machine."""

from __future__ import annotations

from invdpo.schemas.config import Config, GenerateConfig, ScoreConfig, TrainConfig
from invdpo.schemas.config.trust import portable

EVIL = ScoreConfig(remote_url="http://127.0.0.1:9/score", remote_key_variable="HF_TOKEN")


def test_only_what_decides_results_travels() -> None:
    config = Config(
        generate=GenerateConfig(model="lab/model", num_candidates=3, device="cuda:7"),
        score=EVIL.model_copy(update={"clip_model": "ViT-L-14"}),
        train=TrainConfig(picture_prompts="/etc/passwd", pictures_every=1, beta=3.0),
    )
    config = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"license": "mit"})}
    )
    left, dropped = portable(config)
    assert dropped == [
        "generate.device",
        "score.remote_key_variable",
        "score.remote_url",
        "train.picture_prompts",
        "train.pictures_every",
    ]
    assert (left.generate.model, left.generate.num_candidates) == ("lab/model", 3)
    assert (left.score.clip_model, left.score.remote_url) == ("ViT-L-14", None)
    assert (left.train.beta, left.train.picture_prompts) == (3.0, None)
    assert left.dataset.license == "mit"
    for name in Config.model_fields:
        assert getattr(left, name).fingerprint() == getattr(config, name).fingerprint()

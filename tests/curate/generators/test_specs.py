"""Several models in one set, and LoRAs with their scales: what is written, and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from invdpo.curate import steps
from invdpo.curate.generate import Generate, remake
from invdpo.curate.generators import pipeline
from invdpo.curate.generators.pipeline import ImageGenerator
from invdpo.curate.generators.specs import LoraSpec, ModelSpec, model_specs
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.tables import Record
from tests.curate.test_generate import make_lora, prompts
from tests.curate.tiny import save_pipeline, tiny_config


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model: the same weights with another scheduler's settings."""
    folder = save_pipeline(tmp_path_factory.mktemp("other") / "second")
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text().replace("0.02", "0.05"))
    return folder


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora") / "style"
    make_lora(str(tiny_model), folder)
    return folder


def settings(tiny_model: Path, **more: Any) -> GenerateConfig:
    return tiny_config(tiny_model, generate={"model": "embedded", **more}).generate


def drawn(config: GenerateConfig, count: int = 3) -> list[Record]:
    rows = list(Generate(config)(prompts(count)))
    assert [row["error"] for row in rows] == [None] * len(rows)
    return rows


def test_what_entries_mean(tmp_path: Path) -> None:
    config = GenerateConfig(models=("a/b", "a/b@v1", "a/b@v1+x=0.5+y", " c/d "), loras=("z=2",))
    z = LoraSpec("z", 2.0)
    assert model_specs(config) == [
        ModelSpec("a/b", None, (z,)),
        ModelSpec("a/b", "v1", (z,)),
        ModelSpec("a/b", "v1", (z, LoraSpec("x", 0.5), LoraSpec("y"))),
        ModelSpec("c/d", None, (z,)),
    ]
    odd = tmp_path / "a+b=1@c"
    odd.mkdir()
    assert model_specs(GenerateConfig(models=(str(odd),))) == [ModelSpec(str(odd))]
    assert model_specs(GenerateConfig(loras=(str(odd),)))[0].adapters == (LoraSpec(str(odd)),)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": ["a/b@"]}, r"found 'a/b@'; expected MODEL"),
        ({"models": ["a/b+"]}, r"found 'a/b\+'"),
        ({"models": ["a/b"], "model": "c/d"}, "give either models"),
        ({"models": ["a/b"], "revision": "main"}, "give either models"),
        ({"lora": "x", "loras": ["y"]}, "give only one of the two"),
        ({"loras": ["x=much"]}, r"found 'x=much'; expected LORA or LORA=SCALE"),
        ({"loras": ["x=0"]}, "other than 0"),
        ({"loras": ["=1"]}, "expected LORA"),
        ({"loras": ["x=nan"]}, "expected LORA"),
    ],
)
def test_entries_that_mean_nothing(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model_specs(GenerateConfig.model_validate(values))


def test_each_model_draws_what_it_draws_alone_from_the_same_seeds(
    tiny_model: Path, other: Path
) -> None:
    both = drawn(settings(tiny_model, models=[str(tiny_model), str(other)]))
    alone = [drawn(settings(tiny_model, model=str(model))) for model in (tiny_model, other)]
    assert both == [*alone[0], *alone[1]]
    first, second = both[:6], both[6:]
    assert [row["seed"] for row in first] == [row["seed"] for row in second]
    assert {row["model"] for row in first} == {"pipeline"}
    assert {row["model"] for row in second} == {"second"}
    assert len({row["revision"] for row in both}) == 2
    assert len({row["candidate_id"] for row in both}) == 12


def test_a_candidate_is_remade_by_its_own_model(tiny_model: Path, other: Path) -> None:
    config = settings(tiny_model, models=[str(tiny_model), str(other)])
    rows = drawn(config, 1)
    for row in (rows[0], rows[3]):
        assert remake(row, "a red circle", config) == row["image"]["bytes"]


def test_models_wait_their_turn(
    tiny_model: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    call, rest = ImageGenerator.__call__, ImageGenerator.rest

    def drawing(self: ImageGenerator, shots: Any) -> Any:
        told.append(self.name)
        return call(self, shots)

    def resting(self: ImageGenerator) -> None:
        told.append(f"{self.name} rests")
        rest(self)

    monkeypatch.setattr(ImageGenerator, "__call__", drawing)
    monkeypatch.setattr(ImageGenerator, "rest", resting)
    drawn(settings(tiny_model, models=[str(tiny_model), str(other)]))
    assert told == ["pipeline", "pipeline", "pipeline rests", "second", "second", "second rests"]


def test_the_step_counts_them_all_and_goes_on(
    tiny_model: Path, other: Path, tmp_path: Path
) -> None:
    ws, options = Workspace(tmp_path / "work"), RunOptions(part_size=5, progress=False)
    models = [str(tiny_model), str(other)]
    config = tiny_config(tiny_model, generate={"model": "embedded", "models": models})
    steps.make_prompts(ws, config, options)
    assert steps.generate(ws, config, RunOptions(part_size=5, dry_run=True)).planned == 48
    assert steps.generate(ws, config, options).made == 48
    next(ws.candidates_dir.glob("*0.parquet")).unlink()
    again = steps.generate(ws, config, options)
    assert (again.made, again.resumed) == (20, 28)
    rows = ws.read_table(ws.candidates_dir, ["prompt_id", "model"]).to_pylist()
    assert {rows.count(row) for row in rows} == {2}


def test_the_same_weights_twice_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    with pytest.raises(ConfigError, match="have the same weights"):
        Generate(settings(tiny_model, models=[str(tiny_model), str(copy)])).fingerprint()


def test_a_model_that_fails_is_named(
    tiny_model: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_answers", Mock(side_effect=RuntimeError("no kernel")))
    config = settings(tiny_model, models=[str(tiny_model), str(other)])
    with pytest.raises(ModelError, match=r"pipeline: The model failed on all of 4 inputs"):
        drawn(config)


def test_fingerprints_of_one_model_are_as_they_were(tiny_model: Path, lora: Path) -> None:
    told = Generate(settings(tiny_model, model=str(tiny_model))).fingerprint()
    assert {"model", "revision", "lora"} <= told.keys()
    assert not {"models", "loras"} & told.keys()
    assert told["lora"] is None
    one = Generate(settings(tiny_model, model=str(tiny_model), lora=str(lora))).fingerprint()
    listed = Generate(settings(tiny_model, model=str(tiny_model), loras=[str(lora)])).fingerprint()
    assert one == listed
    alone = Generate(settings(tiny_model, models=[str(tiny_model)])).fingerprint()
    assert alone == told


def test_scale_and_order_of_loras_count(tiny_model: Path, lora: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    make_lora(str(tiny_model), second, seed=2)

    def first(*loras: str) -> Record:
        return drawn(settings(tiny_model, model=str(tiny_model), loras=loras), 1)[0]

    plain, whole, half = first(), first(str(lora)), first(f"{lora}=0.5")
    both, less = first(str(lora), str(second)), first(str(lora), f"{second}=0.001")
    rows = [plain, whole, half, both, less]
    assert len({row["image"]["bytes"] for row in rows}) >= 4
    assert len({row["candidate_id"] for row in rows}) == 5
    assert half["revision"] == whole["revision"] + "*0.5"
    assert distance(less, whole) < distance(both, whole)
    assert distance(half, plain) < distance(whole, plain)


def distance(one: Record, other: Record) -> float:
    import numpy as np

    from invdpo.schemas.io.images import decode

    pixels = [np.asarray(decode(row["image"]["bytes"]), dtype=float) for row in (one, other)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def test_base_and_tuned_in_one_set(tiny_model: Path, lora: Path) -> None:
    rows = drawn(settings(tiny_model, models=[str(tiny_model), f"{tiny_model}+{lora}=0.5"]), 1)
    assert [row["model"] for row in rows] == ["pipeline"] * 4
    assert rows[2]["revision"].startswith(rows[0]["revision"] + "+")
    assert rows[2]["image"]["bytes"] != rows[0]["image"]["bytes"]

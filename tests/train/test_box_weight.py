"""Errors inside boxes count more, alike for the model and for its reference."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.curate.scene_graphs.focus import focus_boxes
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, DataError, WorkspaceError
from invdpo.schemas.layouts.rows import GRAPHS
from invdpo.train import train
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.sizes import lacking
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.checkpoint.resume import identity_of
from invdpo.train.data import Pair, open_dataset
from invdpo.train.gradient import all_errors
from invdpo.train.models import load_adapter
from invdpo.train.objective import make_objective
from invdpo.train.splits import open_data, read_splits
from tests.train.tiny import pairs_of, row, write_pairs

CPU = torch.device("cpu")
BOXES = (((0.0, 0.0, 0.4, 0.6),), ((0.5, 0.3, 1.0, 1.0), (0.4, 0.3, 0.7, 0.5)))


def boxed(dataset: Path) -> list[Pair]:
    """Three pairs of two sizes, the last one without boxes."""
    first, second, third = pairs_of(dataset)[:3]
    return [replace(first, boxes=BOXES), replace(second, boxes=BOXES, bucket=(16, 8)), third]


def filled(config: TrainConfig, root: Path, dataset: Path) -> tuple[Cache, Any]:
    adapter = load_adapter(config, CPU)
    cache, pairs = open_cache(root, adapter, config), {"train": boxed(dataset)}
    expected = lacking(cache, adapter, config, pairs).bytes
    CacheBuilder(adapter, config, cache).fill(open_dataset(dataset), pairs)
    shards = sum(path.stat().st_size for path in root.rglob("*.safetensors"))
    assert expected == pytest.approx(shards, rel=0.1)
    return cache, adapter


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"residual": "implied", "cache_points": 2},
        {"noise": "fresh"},
        {"objective": "diffusion-dpo"},
        {"objective": "sft"},
    ],
    ids=["inversion", "implied", "fresh", "diffusion-dpo", "sft"],
)
def test_the_references_errors_are_weighed_as_the_models(
    config: TrainConfig, dataset: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Before the first step both networks are one, and so are their errors in every region."""
    config = config.model_copy(update={"box_weight": 9.0, **changes})
    cache, adapter = filled(config, tmp_path, dataset)
    sampler = BatchSampler(cache, config)
    predict = partial(adapter.predict, adapter.denoiser)
    batches = list(sampler.batches(boxed(dataset), [0, 1, 2], "key"))
    assert [batch.indices for batch in batches] == [(0, 2), (1,)]
    for batch in batches:
        assert batch.region is not None
        assert batch.region.shape == (*batch.x.shape[:2], *batch.x.shape[-2:])
        torch.testing.assert_close(batch.region.mean((-2, -1)), torch.ones(batch.x.shape[:2]))
        error = all_errors(predict, batch, 128)
        even = all_errors(predict, replace(batch, region=None), 128)
        has_boxes = torch.tensor([index != 2 for index in batch.indices])
        assert ((error - even).abs().amax((1, 2)) > 1e-3).equal(has_boxes)
        if make_objective(config).inverts:
            torch.testing.assert_close(batch.reference_error, error, rtol=1e-3, atol=1e-4)
        else:
            assert sampler.objective.sides == 1 or sampler.live_reference


def test_a_weight_of_1_is_the_training_of_before_bit_for_bit(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    """It has no regions, its error is the plain mean, and x is shared by all weights."""
    cache, adapter = filled(config, tmp_path, dataset)
    assert cache.error_maps is None
    (batch, *_) = BatchSampler(cache, config).batches(boxed(dataset), [0, 2], "key")
    assert batch.region is None
    predict = partial(adapter.predict, adapter.denoiser)
    one = (
        batch.x[0, 1, :1],
        batch.timesteps[0, :1],
        {n: v[:1] for n, v in batch.conditioning.items()},
    )
    with torch.no_grad():
        square = (predict(*one) - batch.target[0, 1, :1]).pow(2)
    assert all_errors(predict, batch, 1)[0, 1, 0] == square.mean((-3, -2, -1))
    kinds = {folder.name.split("-")[0] for folder in tmp_path.iterdir()}
    assert kinds == {"prompts", "latents", "trajectories"}
    weighed = open_cache(tmp_path, adapter, config.model_copy(update={"box_weight": 3.0}))
    assert weighed.trajectories is not None
    assert weighed.trajectories.names() == ["error_endpoint", "error_implied", "points", "x"]
    assert weighed.error_maps is not None
    assert not weighed.error_maps.names()
    other = open_cache(tmp_path, adapter, config.model_copy(update={"box_weight": 4.0}))
    assert other.error_maps is not None
    assert other.error_maps.folder == weighed.error_maps.folder


def test_older_trainings_are_told_by_what_they_were(dataset: Path) -> None:
    assert "box_weight" not in TrainConfig().fingerprint()
    assert TrainConfig(box_weight=2).fingerprint()["box_weight"] == 2
    plain, weighed = ({"train": pairs} for pairs in (pairs_of(dataset)[:3], boxed(dataset)))
    assert identity_of("m", "p", plain, 4).keys() == {"model", "precision", "pairs", "pairs a step"}
    assert identity_of("m", "p", weighed, 4)["pairs"] == identity_of("m", "p", plain, 4)["pairs"]
    assert "boxes" in identity_of("m", "p", weighed, 4)


def graphs(colour: str) -> dict[str, str]:
    """A red circle is asked for and in the chosen image; in the other it has some colour."""
    circle = {"item_id": 0, "label": "circle", "box": [0, 0, 0.5, 0.5]}
    seen = [{"items": [{**circle, "attributes": [c]}]} for c in ("red", "red", colour)]
    return dict(zip(GRAPHS, map(json.dumps, seen), strict=True))


def test_a_training_reads_the_boxes_from_the_graphs_of_its_rows(
    config: TrainConfig, tmp_path: Path
) -> None:
    once = {"box_weight": 9.0, "max_steps": 1, "trackers": ()}
    folder, config = tmp_path / "set", config.model_copy(update=once)
    rows = [row(0) | graphs("blue"), row(1) | graphs("red"), row(2) | dict.fromkeys(GRAPHS)]
    write_pairs(folder, "train", rows, *GRAPHS)

    def run(**changes: Any) -> Any:
        tuned = config.model_copy(update=changes)
        return train(folder, tmp_path / "out", tuned, progress=False, focus_boxes=focus_boxes)

    result = run()
    assert result.metrics["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert any(note.startswith("2 of 3 pairs have no box for box_weight") for note in result.notes)
    write_pairs(
        folder, "train", [row(0) | graphs("blue"), row(1) | graphs("green"), rows[2]], *GRAPHS
    )
    with pytest.raises(WorkspaceError, match="boxes"):
        run(max_steps=2)


def test_what_cannot_be_weighed_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"box_weight": 9.0})
    adapter = load_adapter(config, CPU)
    write_pairs(tmp_path, "train", [row(0) | graphs("red")], *GRAPHS)
    with pytest.raises(ConfigError, match="box_weight: no source of boxes"):
        read_splits(open_data(tmp_path, config), adapter, config)
    with pytest.raises(DataError, match=r"no training pair has a box.*chosen_graph"):
        read_splits(open_data(tmp_path, config, focus_boxes), adapter, config)
    write_pairs(tmp_path, "train", [row(0) | graphs("red") | {"graph": "[1]"}], *GRAPHS)
    with pytest.raises(DataError, match="row 0, graph"):
        read_splits(open_data(tmp_path, config, focus_boxes), adapter, config)

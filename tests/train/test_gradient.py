from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invdpo.train.batches import Batch
from invdpo.train.gradient import Predict, accumulate, all_errors, sample_errors
from invdpo.train.models.stable_diffusion import StableDiffusion
from invdpo.train.objective import OBJECTIVES, Objective

B, K = 2, 4


@pytest.fixture(scope="module")
def adapter(pipeline: Path) -> Any:
    made = StableDiffusion(pipeline, torch.device("cpu"), "float32", "float32")
    made.denoiser.double().requires_grad_(True)
    return made


@pytest.fixture
def predict(adapter: Any) -> Predict:
    adapter.denoiser.zero_grad(set_to_none=True)
    return lambda x, t, conditioning: adapter.predict(adapter.denoiser, x, t, conditioning)


def make_batch(sides: int) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Batch(
        x=draw(B, sides, K, 4, 4, 4),
        target=draw(B, sides, K, 4, 4, 4),
        timesteps=torch.randint(0, 1000, (B, K), generator=generator),
        weight=draw(B, K).abs(),
        reference_error=draw(B, sides, K).abs() + 1,
        conditioning={"encoder_hidden_states": draw(B, 6, 16)},
    )


def full_graph(
    predict: Predict, objective: Objective, batch: Batch, unet: torch.nn.Module
) -> list[Tensor]:
    """All samples in one graph, the loss as it is written down, plain autograd."""
    flat = sample_errors(predict, batch, 0, B * batch.samples_per_pair)
    error = flat.view(batch.x.shape[:3])
    score = objective.score(error, batch.reference_error, batch.weight)
    loss = objective.loss(score).mean()
    return list(torch.autograd.grad(loss, list(unet.parameters()), allow_unused=True))


@pytest.mark.parametrize("name", OBJECTIVES.names())
@pytest.mark.parametrize("limit", [3, 8, 1000])
def test_flat_memory_gradient_is_the_full_graphs(
    name: str, limit: int, adapter: Any, predict: Predict
) -> None:
    objective = OBJECTIVES[name](3.0)
    batch = make_batch(objective.sides)
    expected = full_graph(predict, objective, batch, adapter.denoiser)
    parameters = list(adapter.denoiser.parameters())
    error = accumulate(predict, batch, objective, parameters, limit, 1 / B)
    assert error.shape == (B, objective.sides, K)
    for p, gradient in zip(parameters, expected, strict=True):
        if gradient is None:
            assert p.grad is None
        else:
            assert p.grad is not None
            assert (p.grad - gradient).norm() <= 1e-9 * gradient.norm() + 1e-12


@pytest.mark.parametrize("limit", [3, 8, 1000])
@pytest.mark.parametrize("scores_first", [False, True])
@pytest.mark.parametrize(
    "extra",
    [{}, {"sft_share": 0.3}, {"loser_scaling": 0.6}, {"sft_share": 0.3, "loser_scaling": 0}],
)
def test_weights_of_pairs_losers_and_regions_are_those_of_the_full_graph(
    extra: dict[str, float], scores_first: bool, limit: int, adapter: Any, predict: Predict
) -> None:
    objective = OBJECTIVES["inversion-dpo"](3.0, **extra)
    batch = replace(
        make_batch(2),
        strength=torch.tensor([0.4, 1.0], dtype=torch.float64),
        region=torch.rand(B, 2, 4, 4, generator=torch.Generator().manual_seed(3)).double() + 0.5,
    )
    assert batch.region is not None
    assert batch.strength is not None
    parameters = list(adapter.denoiser.parameters())
    out = torch.stack(
        [
            predict(batch.x[:, s, k], batch.timesteps[:, k], batch.conditioning)
            for s in range(2)
            for k in range(K)
        ],
        1,
    ).view_as(batch.x)
    error = (batch.region[:, :, None, None] * (out - batch.target) ** 2).mean((-3, -2, -1))
    if "loser_scaling" in extra:
        slope = batch.weight[:, None, :, None, None, None] * batch.region[:, :, None, None]
        g = (slope * (out - batch.target)).detach()
        w, loser = g[:, 0].flatten(1), g[:, 1].flatten(1)
        along = (w * loser).sum(1)
        room = (1 - extra["loser_scaling"]) * (w * w).sum(1) / along
        scale = torch.where(along > 0, room.clamp(0, 1), torch.ones(B).double())[:, None]
        moved = scale * error[:, 1] + (1 - scale) * error[:, 1].detach()
        error = torch.stack([error[:, 0], moved], 1)
    reward = -1.5 * (batch.weight[:, None] * (error - batch.reference_error)).mean(-1)
    margin = reward[:, 0] - reward[:, 1]
    loss = torch.log1p(torch.exp(-batch.strength * margin))
    loss = (loss - extra.get("sft_share", 0) * reward[:, 0]).mean()
    expected = torch.autograd.grad(loss, parameters, allow_unused=True)
    adapter.denoiser.zero_grad(set_to_none=True)
    accumulate(predict, batch, objective, parameters, limit, 1 / B, scores_first=scores_first)
    for p, gradient in zip(parameters, expected, strict=True):
        if gradient is not None:
            assert p.grad is not None
            assert (p.grad - gradient).norm() <= 1e-9 * gradient.norm() + 1e-12


def test_gradients_add_to_those_already_there(adapter: Any, predict: Predict) -> None:
    objective, batch = OBJECTIVES["inversion-dpo"](3.0), make_batch(2)
    parameters = list(adapter.denoiser.parameters())
    for _ in range(2):
        accumulate(predict, batch, objective, parameters, 4, 0.5)
    twice = [p.grad.clone() for p in parameters if p.grad is not None]
    adapter.denoiser.zero_grad(set_to_none=True)
    accumulate(predict, batch, objective, parameters, 1000, 1.0)
    once = [p.grad for p in parameters if p.grad is not None]
    for a, b in zip(twice, once, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("scores_first", [False, True])
def test_the_scale_reaches_the_backward_of_a_pair_in_many_graphs(
    scores_first: bool, adapter: Any, predict: Predict
) -> None:
    """Half precision would lose small gradients before they are scaled."""
    objective, parameters = OBJECTIVES["inversion-dpo"](3.0), list(adapter.denoiser.parameters())
    seen = list[Tensor]()

    def watched(*given: Any) -> Any:
        out: Any = predict(*given)
        if out.requires_grad:
            out.register_hook(seen.append)
        return out

    def size(scale: float) -> float:
        seen.clear()
        accumulate(
            watched, make_batch(2), objective, parameters, 3, scale, scores_first=scores_first
        )
        return float(torch.cat([gradient.flatten() for gradient in seen]).norm())

    assert size(1024.0) == pytest.approx(1024 * size(1.0))


def test_errors_do_not_depend_on_how_they_are_cut(predict: Predict) -> None:
    batch = make_batch(2)
    torch.testing.assert_close(all_errors(predict, batch, 7), all_errors(predict, batch, 1000))


@pytest.mark.parametrize("points", [5, 16])
def test_peak_of_saved_tensors_does_not_grow_with_the_points(
    points: int, adapter: Any, predict: Predict
) -> None:
    alive = peak = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal alive, peak
            self.tensor, self.bytes = tensor, tensor.nbytes
            alive += self.bytes
            peak = max(peak, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= self.bytes

    batch = make_batch(2)
    repeat = torch.arange(points) % K
    grown = Batch(
        batch.x[:, :, repeat],
        batch.target[:, :, repeat],
        batch.timesteps[:, repeat],
        batch.weight[:, repeat],
        batch.reference_error[:, :, repeat],
        batch.conditioning,
    )
    objective, parameters = OBJECTIVES["inversion-dpo"](3.0), list(adapter.denoiser.parameters())
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        accumulate(predict, grown, objective, parameters, 2, 1.0)
    reached, peak = peak, 0
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        accumulate(predict, batch, objective, parameters, 2, 1.0)
    assert reached <= 1.05 * peak

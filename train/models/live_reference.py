"""The reference of objectives that compute E_0 in every step: fixed, or following the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.checkpoint.optimizer_state import gather
from invdpo.train.models.finetuning import Tuning
from invdpo.train.objective import has_live_reference
from invdpo.train.optim.ema import Average

FLOAT = 4

Copy = Literal["network", "start", "average"]


def kept_copy(config: TrainConfig) -> Copy | None:
    """What is kept for the reference beside the weights in training; None for nothing.

    A copy of the whole `network`, or of the parameters in training alone, as they were at the
    `start` or as their `average`. A LoRA is switched off for the base model.
    """
    if not has_live_reference(config):
        return None
    if config.reference_decay is not None:
        return "average"
    if config.tuning == "full":
        return "network"
    return "start" if config.start_from and config.reference == "start" else None


def copy_bytes(config: TrainConfig, network: int, trained: int) -> int:
    """Bytes of `kept_copy`; `network` and `trained` are numbers of parameters."""
    copy = kept_copy(config)
    return FLOAT * (0 if copy is None else network if copy == "network" else trained)


class LiveReference:
    """The base model, or the weights that training started from, or their moving average."""

    def __init__(self, tuning: Tuning, config: TrainConfig) -> None:
        """Make it before the first step, when the weights are those of the start."""
        self._tuning, self._decay = tuning, config.reference_decay
        keep = kept_copy(config) in ("start", "average")
        self._weights = Average(tuning.parameters, self._decay or 1.0) if keep else None

    @contextmanager
    def __call__(self) -> Iterator[nn.Module]:
        """The network with the reference's weights, while the context lasts."""
        if self._weights is None:
            with self._tuning.reference() as denoiser:
                yield denoiser
        else:
            with self._weights.swapped():
                yield self._tuning.denoiser

    def follow(self, step: int) -> None:
        """Take the weights after optimiser step number `step` into the average, if it moves."""
        if self._weights and self._decay:
            self._weights.update(step)

    def state(self, names: Sequence[str]) -> dict[str, Tensor]:
        """What a state must hold of it; empty for one that doesn't move. All processes call it."""
        moves = self._weights if self._decay else None
        tensors = moves.tensors if moves else []
        return {name: gather(tensor) for name, tensor in zip(names, tensors, strict=False)}

    def restore(self, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        if self._weights and self._decay:
            self._weights.restore([state[name] for name in names])

"""Values that are not finite are found where they are made, and never kept.

Half precision overflows in some models' parts; SDXL's first VAE is known for it. Found only in the
loss, hours later, it would be laid at the door of a pair.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError

REMEDIES = {
    torch.float16: "Use --dtype bfloat16 or --dtype float32.",
    torch.bfloat16: "Use --dtype float32.",
    torch.float32: "Its weights may be damaged: download the model again.",
}


def finite_rows(tensors: Mapping[str, Tensor]) -> Tensor:
    """For each of B rows whether all its values are finite: (B,) bool on the CPU."""
    flags = [t.detach().flatten(1).isfinite().all(1).cpu() for t in tensors.values() if t.dim() > 1]
    return torch.stack(flags).all(0)


def not_finite(part: str, dtype: torch.dtype, config: TrainConfig) -> ModelError:
    """The error that names the part of the model, the precision, and what to do."""
    name = str(dtype).removeprefix("torch.")
    text = f"{config.model}: the {part} gives values that are not finite in {name}."
    return ModelError(f"{text} {REMEDIES[dtype]}")

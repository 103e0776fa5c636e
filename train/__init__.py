"""Post-training: phase one inverts the images and fills a cache, phase two trains from it.

A reading list: the modules at the top of this folder, in this order, are the method. Then
`cache.fill`, which is phase one.

1. `objective`: the losses, from noise errors.
2. `schedule`: how noise enters and what is predicted, the grid of inversion, weights of the points;
   `models.diffusion` and `models.rectified_flow` are the two kinds.
3. `inversion`: from a clean latent along the grid to its noise.
4. `batches`: the noisy latents and targets of a step.
5. `gradient`: the exact gradient of the loss, in flat memory.
6. `metrics`: losses and rewards of pairs.
7. `loop`: steps, validation, states.
8. `run`: `train`, which leads through both phases; `prepare` is the first.

The rest can be skipped at first: `splits` (usable pairs), `distributed` (several processes) and the
folders `data`, `models`, `cache`, `optim`, `checkpoint`, `monitoring` and `diagnostics`. Importing
the package is light; torch is loaded with the first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invdpo.train.run import TrainResult, train

__all__ = ["TrainResult", "train"]


def __getattr__(name: str) -> Any:
    """Load `train` and `TrainResult` when they are first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from invdpo.train import run

    return getattr(run, name)

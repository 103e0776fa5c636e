"""Post-training: inversion, trajectory cache, objective, gradient and loop.

An evening's read, in this order: `objective` and `schedule` (the mathematics), `inversion`,
`gradient` and `sampling` (one step); `data`, `intake` and `buckets` (what comes in), `models` (one
file a family); `cache` on top of `store`, `filling` and `sizes` (phase one); `tuning` and
`optimizers` (what moves); `setup`, `prepare` and `loop`, led by `run` (phase two), with `team` for
several processes and `state` and `resume` for going on. Beside them `estimate`, `check` and
`memory_advice`, which only tell, and `trackers`, `curves` and `pictures`, which show. Importing
the package is light; torch comes with the first use.
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

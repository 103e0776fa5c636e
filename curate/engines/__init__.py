"""Engines, one small file each; importing this package enters them into `ENGINES`."""

from invdpo.curate.engines import local as local
from invdpo.curate.engines import ray as ray
from invdpo.curate.engines.base import (
    ENGINES,
    InputPart,
    MakeStage,
    OnDevices,
    Outcome,
    Output,
    Stage,
    Task,
)

__all__ = [
    "ENGINES",
    "InputPart",
    "MakeStage",
    "OnDevices",
    "Outcome",
    "Output",
    "Stage",
    "Task",
]

"""invdpo: from a diffusion model's samples to a preference dataset to an aligned model.

What Python programs and notebooks use is named here, and loaded when it is first asked for;
docs/python.md shows it at work.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invdpo.evaluation import evaluate as evaluate
    from invdpo.schemas.config import Config as Config
    from invdpo.schemas.errors import ConfigError as ConfigError
    from invdpo.schemas.errors import DataError as DataError
    from invdpo.schemas.errors import InvdpoError as InvdpoError
    from invdpo.schemas.errors import ModelError as ModelError
    from invdpo.schemas.errors import PluginError as PluginError
    from invdpo.schemas.errors import WorkspaceError as WorkspaceError
    from invdpo.training import train as train
    from invdpo.workspace import Workspace as Workspace

__version__ = "0.1.0"

_HOMES = {
    "Workspace": "workspace",
    "evaluate": "evaluation",
    "Config": "schemas.config",
    "InvdpoError": "schemas.errors",
    "ConfigError": "schemas.errors",
    "DataError": "schemas.errors",
    "ModelError": "schemas.errors",
    "PluginError": "schemas.errors",
    "WorkspaceError": "schemas.errors",
}
"""Public name -> the module that defines it."""

__all__ = [*_HOMES, "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


class _TrainPackage(ModuleType):
    """`invdpo.train` is a package, and so can't be a function too, unless it can be called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """See `invdpo.training.train`."""
        from invdpo.training import train

        return train(*args, **options)


importlib.import_module(f"{__name__}.train").__class__ = _TrainPackage

"""Records, tables, scene graphs, configuration and errors: what all other rooms agree on.

Imports nothing of ours and stays light; `invdpo.schemas.tables` needs pyarrow and is imported
where tables are read or written.
"""

from invdpo.schemas.errors import (
    ConfigError,
    DataError,
    InvdpoError,
    ModelError,
    OfflineError,
    PluginError,
    WorkspaceError,
)
from invdpo.schemas.graph import Item, Relation, SceneGraph

__all__ = [
    "ConfigError",
    "DataError",
    "InvdpoError",
    "Item",
    "ModelError",
    "OfflineError",
    "PluginError",
    "Relation",
    "SceneGraph",
    "WorkspaceError",
]

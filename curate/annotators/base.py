"""The base class of annotators, and their registry."""

from __future__ import annotations

from collections.abc import Callable

from invdpo.curate.batching import Model, problem_of
from invdpo.schemas import SceneGraph
from invdpo.schemas.plugins import Registry


class Annotator(Model[SceneGraph]):
    """Reads scene graphs off images; `Model` states what a subclass defines.

    Of a candidate it may need the image, the prompt and the prompt's graph.
    """


ANNOTATORS: Registry[Callable[..., Annotator]] = Registry(
    "annotator", "invdpo.annotators", Annotator, problem_of
)

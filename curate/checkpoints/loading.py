"""Loads a text-to-image pipeline: complete, silent, and in the requested precision."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from invdpo.curate.checkpoints.hub import Source
from invdpo.curate.checkpoints.pipelines import absent, components
from invdpo.schemas import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import read_index
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded


def load(source: Source, dtype: str) -> Any:
    """The pipeline. Raises `ModelError`, also where a weight is missing or fits nothing."""
    import diffusers
    import torch

    pipelines: Any = diffusers.DiffusionPipeline
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    folder = Path(source.location)
    try:
        with quiet_libraries():
            if not folder.is_dir():  # of the Hub
                of_hub = {"revision": source.revision, "use_safetensors": True}
                folder = Path(pipelines.download(source.location, **of_hub))
            given = absent(folder) | _networks(folder, options)
            pipeline = pipelines.from_pretrained(folder, **options, **given)
    except ModelError:
        raise
    except Exception as error:
        reason = _unnamed(folder) or f"can't be loaded ({describe_error(error)})"
        raise ModelError(f"{source.location}: {reason}.") from error
    if "prompt" not in inspect.signature(type(pipeline).__call__).parameters:
        kind = type(pipeline).__name__
        raise ModelError(f"{source.location}: {kind} takes no prompt; expected text-to-image.")
    pipeline.set_progress_bar_config(disable=True)
    for name in ("unet", "vae"):
        module = getattr(pipeline, name, None)
        if module is not None and not any(p.ndim == 5 for p in module.parameters()):  # of films
            module.to(memory_format=torch.channels_last)
    return pipeline


def _networks(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The components with weights; a pipeline that loads them itself can't say what they lack."""
    networks = {}
    for name, (library, kind) in components(folder).items():
        network, path = _network_class(library, kind), folder / name
        if network is not None and path.is_dir():
            networks[name], info = network.from_pretrained(
                path, output_loading_info=True, **options
            )
            check_loaded(path, info, networks[name])
    return networks


def _network_class(library: str, name: str) -> Any:
    """The class of a component; None for what is no network of diffusers or transformers."""
    import diffusers
    import transformers
    from diffusers import pipelines

    own: Any = {"diffusers": diffusers, "transformers": transformers}
    member = getattr(own.get(library) or getattr(pipelines, library, None), name, None)
    bases: Any = (diffusers.ModelMixin, transformers.PreTrainedModel)
    return member if inspect.isclass(member) and issubclass(member, bases) else None


def _unnamed(folder: Path) -> str | None:
    """What the pipeline needs and a folder's index does not name, in words; None if all is."""
    import diffusers

    index = read_index(folder)
    kind: Any = getattr(diffusers, str(index.get("_class_name")), None)
    if kind is None:
        return None
    needed = [
        name
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in ("self", "args", "kwargs")
    ]
    unnamed = [name for name in needed if name not in {*index, *kind._optional_components}]
    return f"its index names no {' and no '.join(unnamed)}" if unnamed else None

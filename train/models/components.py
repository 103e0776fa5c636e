"""Loading one component of a pipeline folder: safetensors only, frozen, with readable errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from invdpo.schemas.errors import ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import DECISIVE, PICKLES, model_errors, read_settings
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded

VARIANT = re.compile(r"(?:diffusion_pytorch_)?model\.(\w+)(?:-\d+-of-\d+)?\.safetensors")
"""Weights in another precision, such as `model.fp16.safetensors`."""


def load_component(
    kind: Any, folder: Path, name: str, device: torch.device, dtype: torch.dtype
) -> Any:
    """One component, frozen. Raises `ModelError` when its weights can't be used."""
    variant = weights_variant(folder / name)
    extra = {"variant": variant} if variant else {}
    try:
        with quiet_libraries():
            module, info = kind.from_pretrained(
                folder,
                subfolder=name,
                use_safetensors=True,
                output_loading_info=True,
                dtype=dtype,
                **extra,
            )
    except Exception as error:  # whatever the libraries make of odd settings
        text = f"{folder / name}: can't be loaded ({describe_error(error)})."
        raise ModelError(text) from error
    check_loaded(folder / name, info, module)
    return module.to(device).requires_grad_(False).eval()


def empty_component(kind: Any, folder: Path) -> Any:
    """A component without memory for its weights, from its configuration alone."""
    with model_errors(folder), torch.device("meta"), quiet_libraries():
        if config := getattr(kind, "config_class", None):  # transformers', unlike diffusers'
            return kind(config.from_pretrained(folder))
        return kind.from_config(read_settings(folder / "config.json"))


def lacks_weights(folder: Path) -> bool:
    """Whether a component has no weights of any kind."""
    return not any(path.suffix in {".safetensors", *PICKLES} for path in folder.glob("*"))


def weights_variant(folder: Path) -> str | None:
    """None for the main weights; `fp16` or the like when there are no main ones.

    Raises `ModelError` when there are neither, and names pickles, which are refused.
    """
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names:
        pickles = sorted(p.name for p in folder.glob("*") if p.suffix in {".bin", ".ckpt"})
        content = f"only {', '.join(pickles)}, which is refused" if pickles else "no weights"
        raise ModelError(f"{folder}: {content}. Save the model as safetensors.")
    matches = [VARIANT.fullmatch(name) for name in names]
    return None if None in matches else next(m[1] for m in matches if m)


def hash_components(folder: Path, components: Sequence[str]) -> str:
    """Hash of the weights, configurations and vocabularies of some components.

    It is the fingerprint in `training.json` and in the keys of caches. The `revision` of tables
    and datasets is another value for the same folder (`model_folder.folder_revision`, over all
    components). Both are kept: each stands in files written before.
    """
    paths = [p for name in components for p in sorted((folder / name).glob("*"))]
    kept = [p for p in paths if p.suffix in DECISIVE]
    return content_id(*([p.relative_to(folder).as_posix(), _hash_file(p)] for p in kept))


def _hash_file(path: Path) -> str:
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    return hash_file(path)

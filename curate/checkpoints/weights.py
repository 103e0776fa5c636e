"""Where the weights of published scorers come from: a folder or file here, or a Hub repository."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.checkpoints.hub import commit_of
from invdpo.schemas import ModelError
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.hub import hub_failures, is_hub_id, model_error
from invdpo.schemas.io.model_folder import folder_revision
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded

if TYPE_CHECKING:
    import torch

DIGITS = 32


class Weights(NamedTuple):
    """A model that was found."""

    name: str
    """Without the folders of this machine."""
    location: str
    """A folder, or the id of a Hub repository."""
    revision: str
    """Hash of the folder's content, or the repository's commit."""

    @property
    def identifier(self) -> str:
        """As tables record it: `owner/name@commit`."""
        return f"{self.name}@{self.revision[:DIGITS]}"

    @property
    def options(self) -> dict[str, Any]:
        """For `from_pretrained`, beside the place."""
        return {} if Path(self.location).is_dir() else {"revision": self.revision}


def find_weights(model: str, option: str) -> Weights:
    """What a configured name means. Raises `ModelError` when it is neither a folder nor an id."""
    path = Path(model)
    if path.is_dir():
        return Weights(path.resolve().name, str(path), folder_revision(path))
    if is_hub_id(model):
        return Weights(model, model, commit_of(model, None, "config.json"))
    raise ModelError(f"{option}: found {model!r}; give a folder, or owner/name on the Hub.")


def find_file(path: str | None, repository: str, file: str, option: str) -> Path:
    """A checkpoint: the file at `place`, else that of a Hub repository, fetched when it must be.

    Raises `ModelError` when it is not there or can't be fetched.
    """
    if path is not None:
        if not Path(path).is_file():
            raise ModelError(f"{option}: {path!r} is not there. Give the file {file}.")
        return Path(path)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file))
    except hub_failures(ValueError) as error:
        hint = f"\n{file} can also be given by {option}."
        raise model_error(error, repository, local=False, hint=hint) from None


def hash_checkpoint(path: str | None, repository: str, file: str, option: str) -> str:
    """The SHA-256 of what `find_file` finds; of what is on the Hub alone, as the Hub states it.

    So a model is known before it is fetched. Raises `ModelError` as `find_file`.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    if path is None and not isinstance(try_to_load_from_cache(repository, file), str):
        with suppress(*hub_failures(ValueError)):
            for entry in HfApi().get_paths_info(repository, [file]):
                if stored := getattr(entry, "lfs", None):
                    return str(stored.sha256)
    return hash_file(find_file(path, repository, file, option))


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor -> shape, from the head of a safetensors file. Raises `ModelError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read as safetensors ({error}).") from None
    if not shapes:
        raise ModelError(f"{path}: no tensors in it.")
    return shapes


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, on the CPU; those below `state_dict` where there is such a key.

    Pickled checkpoints are read for tensors only, and nothing in them is run. Raises `ModelError`.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = f"{path}: can't be read as a checkpoint of tensors ({describe_error(error)})."
        raise ModelError(text) from error
    tensors = tensors.get("state_dict", tensors) if isinstance(tensors, Mapping) else None
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ModelError(f"{path}: not a checkpoint of tensors.")
    return dict(tensors)


def fill(module: Any, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load a state, every tensor of it. Raises `ModelError` naming what is missing or too much."""
    try:
        missing, unexpected = module.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ModelError(
            f"{path}: weights of another architecture ({lines[-1].strip()})."
        ) from None
    check_loaded(path, {"missing_keys": missing, "unexpected_keys": unexpected})

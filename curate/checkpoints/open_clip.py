"""Finds and loads open_clip models: the embedded one, a folder, or a name with its weights.

Weights in folders and files must be safetensors; pickles are refused. Weights that a tag or a
Hub id names are fetched by open_clip, which prefers safetensors and else unpickles tensors only.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.checkpoints.hub import commit_of
from invdpo.curate.checkpoints.weights import DIGITS, read_shapes
from invdpo.curate.devices import torch_device
from invdpo.curate.shapes import bundle
from invdpo.schemas import ModelError
from invdpo.schemas.config.section import EMBEDDED
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.logs import quiet_logging
from invdpo.schemas.io.weights import check_loaded

if TYPE_CHECKING:
    import torch
    from PIL import Image

CONFIG = "open_clip_config.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PREFERRED = ("open_clip_model.safetensors", "model.safetensors")
FETCHED = (CONFIG, *PREFERRED, "open_clip_pytorch_model.bin")
"""Files of a repository that open_clip may have fetched."""
HUB = "hf-hub:"


class Source(NamedTuple):
    """Where a model's architecture and weights come from."""

    name: str
    """As tables record it: without the folders of this machine."""
    architecture: str
    """As `open_clip.create_model` takes it, with its schema."""
    weights: Path | None = None
    """A safetensors file."""
    tag: str | None = None
    """Of open_clip's own pretrained weights, when there is no file."""
    repository: str = ""
    """On the Hub, from which open_clip fetches the weights when there is no file."""

    def revision(self) -> str:
        """Name, and hash of the weights' content or commit of the repository.

        Raises `ModelError` when the Hub can't be reached and no copy is here.
        """
        if self.weights is None:
            return f"{self.name}@{_commit(self.repository)[:DIGITS]}"
        return f"{self.name}@sha256:{hash_file(self.weights)[:DIGITS]}"


class ClipModel(NamedTuple):
    """A loaded model in evaluation mode."""

    network: Any
    preprocess: Callable[[Any], torch.Tensor]
    """RGB image to 3×H×W."""
    tokenize: Callable[..., torch.Tensor]
    """n texts to n×L token ids; `context_length` changes L."""


def find(model: str, pretrained: str | None) -> Source:
    """Resolve a configured model without loading it.

    Raises `ModelError` for an unknown name or tag, a folder without configuration or weights, or
    weights that are a pickle.
    """
    if model == EMBEDDED:
        return _folder(bundle.clip_path(), model)
    if Path(model).is_dir():
        return _folder(Path(model), Path(model).resolve().name)
    if model.startswith(HUB):
        return Source(model.removeprefix(HUB), model, repository=model.removeprefix(HUB))
    return _named(model, pretrained)


class OpenClip(NamedTuple):
    """A loaded model as an encoder of images and texts."""

    model: ClipModel
    device: str

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform, 3×H×W."""
        return self.model.preprocess(image)

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit embeddings, n×3×H×W to n×d."""
        embeddings: torch.Tensor = self.model.network.encode_image(pixels, normalize=True)
        return embeddings

    def texts(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, n×d."""
        tokens = self.model.tokenize(texts).to(self.device)
        embeddings: torch.Tensor = self.model.network.encode_text(tokens, normalize=True)
        return embeddings

    def are_cut(self, texts: list[str]) -> list[bool]:
        """For each text whether it is longer than the encoder takes: with more room it differs."""
        cut = self.model.tokenize(texts)
        length = cut.shape[1]
        whole = self.model.tokenize(texts, context_length=length + 1)
        return [bool((a != b[:length]).any()) for a, b in zip(cut, whole, strict=True)]


def load_encoder(source: Source, device: str) -> OpenClip:
    """The model on a device of torch, or on `auto`. Raises `ModelError` as `load`."""
    device = torch_device(device)
    return OpenClip(load(source, device), device)


def load(source: Source, device: str) -> ClipModel:
    """Load in float32. Raises `ModelError` when the weights do not fit or can't be fetched."""
    try:
        model = _whole(_network(source), source.architecture)
    except ModelError:
        raise
    except Exception as error:  # open_clip raises whatever its parts raise
        first = str(error).strip().splitlines()[:1]
        what = source.weights or source.architecture
        raise ModelError(f"{what}: open_clip can't load it: {''.join(first)}") from error
    return model._replace(network=model.network.to(device).eval())


def blank(architecture: str) -> ClipModel:
    """A named model without weights, on the CPU. Raises `ModelError` for an unknown name."""
    import open_clip

    if architecture not in open_clip.list_models():
        raise ModelError(f"Unknown open_clip architecture {architecture!r}.")
    with quiet_logging():  # open_clip warns of random weights
        network = open_clip.create_model(architecture, load_weights=False)
    return _whole(network, architecture)


def _whole(network: Any, architecture: str) -> ClipModel:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    preprocess = image_transform_v2(PreprocessCfg(**network.visual.preprocess_cfg), is_train=False)
    return ClipModel(network, preprocess, open_clip.get_tokenizer(architecture))


def _network(source: Source) -> Any:
    import open_clip

    if source.weights is None:
        return open_clip.create_model(
            source.architecture, source.tag, require_pretrained=True, weights_only=True
        )
    with quiet_logging():  # open_clip warns of random weights, which are replaced at once
        network = open_clip.create_model(source.architecture, load_weights=False)
    _check_sizes(network, source.weights)
    missing, unexpected = open_clip.load_checkpoint(
        network, str(source.weights), strict=False, weights_only=True
    )
    check_loaded(source.weights, {"missing_keys": missing, "unexpected_keys": unexpected})
    return network


def _check_sizes(network: Any, weights: Path) -> None:
    """open_clip would stretch the position embeddings of another size of images or texts."""
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    sizes = {
        name: shape
        for name, shape in read_shapes(weights).items()
        if name in own and own[name] != shape and own[name]  # scales may be of one number or none
    }
    check_loaded(weights, {"missing_keys": (), "unexpected_keys": (), "mismatched_keys": sizes})


def _folder(folder: Path, name: str) -> Source:
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder}: no {CONFIG}. Give an open_clip model folder.")
    return Source(name, f"local-dir:{folder}", weights=_weights_in(folder))


def _weights_in(folder: Path) -> Path:
    files = sorted(folder.glob("*.safetensors"))
    preferred = next((folder / name for name in PREFERRED if folder / name in files), None)
    if preferred or len(files) == 1:
        return preferred or files[0]
    if files:
        names = ", ".join(path.name for path in files)
        raise ModelError(
            f"{folder}: which weights? Found {names}; rename one of them to {PREFERRED[0]}."
        )
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES):
        raise _pickle(f"{folder}: {pickles[0]}")
    raise ModelError(f"{folder}: no weights. Expected {PREFERRED[0]}.")


def _named(model: str, pretrained: str | None) -> Source:
    import open_clip

    if model not in open_clip.list_models():
        raise ModelError(f"Unknown clip_model {model!r}. {_suggest(model)}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained in tags:
        return _tagged(model, str(pretrained))
    allowed = f"Give one of its tags ({', '.join(tags) or 'it has none'}) or a safetensors file."
    if pretrained is None:
        raise ModelError(f"clip_model {model!r} needs clip_pretrained. {allowed}")
    path = Path(pretrained)
    if path.suffix in PICKLES:
        raise _pickle(pretrained)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ModelError(f"clip_pretrained {pretrained!r} was not found. {allowed}")
    return Source(f"{model}:{path.name}", model, weights=path)


def _tagged(model: str, tag: str) -> Source:
    import open_clip

    pretrained = open_clip.get_pretrained_cfg(model, tag)
    quick = f"{model}-quickgelu"
    config = open_clip.get_model_config(model) or {}
    if (
        pretrained.get("quick_gelu")
        and not config.get("quick_gelu")
        and quick in open_clip.list_models()
    ):
        # open_clip would warn, and compute with another activation than the weights were made for
        raise ModelError(
            f"clip_model {model!r}: its weights {tag!r} need {quick!r}. Give that name."
        )
    repository = "/".join(pretrained["hf_hub"].split("/")[:2])
    return Source(f"{model}:{tag}", model, tag=tag, repository=repository)


def _commit(repository: str) -> str:
    """The commit of a repository, of which open_clip may have fetched one file or another."""
    from huggingface_hub import try_to_load_from_cache

    cached = (name for name in FETCHED if isinstance(try_to_load_from_cache(repository, name), str))
    return commit_of(repository, None, next(cached, FETCHED[0]))


def _suggest(model: str) -> str:
    import open_clip

    names = get_close_matches(model, open_clip.list_models(), n=5, cutoff=0.4)
    known = f"an open_clip name such as {', '.join(names or ['ViT-B-32', 'ViT-L-14'])}"
    return f"Give `embedded`, a folder with {CONFIG}, {HUB}owner/name, or {known}."


def _pickle(what: str) -> ModelError:
    return ModelError(
        f"{what} is a pickle, which can run code and is refused. Convert the weights to "
        "safetensors."
    )

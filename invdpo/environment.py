"""What this machine has: versions, devices, extras, caches, weights of the presets, variables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo import __version__
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.presets import preset_names, preset_path

if TYPE_CHECKING:
    from invdpo.curate.checkpoints.model_files import ModelFiles, StoredModel

PACKAGES = (
    *("torch", "torchvision", "diffusers", "transformers", "peft", "accelerate"),
    *("open_clip_torch", "huggingface_hub", "safetensors", "pyarrow"),
)
EXTRAS = {
    "eightbit": "torchao",
    "quality": "brisque",
    "ray": "ray",
    "s3": "s3fs",
    "spacy": "spacy",
    "vlm": "sentencepiece",
    "wandb": "wandb",
}
"""Extra -> the module by which it is known."""
VARIABLES = {
    *("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RANK", "WORLD_SIZE", "WANDB_API_KEY"),
    *("XDG_CACHE_HOME", "XDG_STATE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
}
PREFIXES = ("INVDPO_", "HF_")


@dataclass(frozen=True)
class Device:
    """What computes."""

    name: str
    """As `--device` takes it."""
    kind: str
    memory_bytes: int | None
    free_bytes: int | None
    precisions: tuple[str, ...]
    """Those that it is fast in."""


@dataclass(frozen=True)
class Environment:
    """All that `invdpo env` reports; of variables only the names, since values may be secret."""

    python: str
    system: str
    versions: dict[str, str | None]
    devices: tuple[Device, ...]
    extras: dict[str, bool]
    caches: dict[str, tuple[str, int]]
    """What it holds -> folder and bytes."""
    presets: dict[str, tuple[StoredModel, ...]]
    """The models that each needs, as far as they are in the Hub's cache."""
    variables: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        caches = {name: {"folder": f, "bytes": size} for name, (f, size) in self.caches.items()}
        return asdict(self) | {"caches": caches}


def read_environment() -> Environment:
    """Look at this machine. Nothing is written, and the Hub is not asked."""
    names = {"invdpo": __version__, **{name: _version(name) for name in PACKAGES}}
    return Environment(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        versions=names,
        devices=tuple(_devices()),
        extras={extra: find_spec(module) is not None for extra, module in EXTRAS.items()},
        caches={name: (str(path), _size(path)) for name, path in _caches().items()},
        presets={name: _preset_models(name) for name in preset_names()},
        variables=tuple(sorted(filter(_is_ours, os.environ))),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_ours(variable: str) -> bool:
    return variable.upper() in VARIABLES or variable.startswith(PREFIXES)


def _devices() -> Iterator[Device]:
    """The processor, and accelerators where torch is there and finds any."""
    yield Device("cpu", f"{os.cpu_count()} cores", *_memory(), ("float32",))
    with suppress(ImportError):
        import torch

        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            fast = ("float32", "float16", *(("bfloat16",) if properties.major >= 8 else ()))
            free = None
            with suppress(RuntimeError):  # another process may hold the device for itself
                free = torch.cuda.mem_get_info(number)[0]
            yield Device(f"cuda:{number}", properties.name, properties.total_memory, free, fast)


def _memory() -> tuple[int | None, int | None]:
    """Bytes of main memory, and of those that are free; None where the system doesn't say."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None, None


def _caches() -> dict[str, Path]:
    from huggingface_hub import constants

    from invdpo.curate.clients.cache import default_folder

    return {"Hub": Path(constants.HF_HUB_CACHE), "answers of VLMs": default_folder()}


def _size(folder: Path) -> int:
    """Bytes below a folder; links, of which the Hub's cache is full, count nothing."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                path = Path(root, name)
                total += 0 if path.is_symlink() else path.stat().st_size
    return total


def _preset_models(name: str) -> tuple[StoredModel, ...]:
    from invdpo.curate.checkpoints.model_files import look_up

    files = _hub_models(load_config(preset_path(name)))
    return tuple({file.name: look_up(file, ask=False) for file in files}.values())


def _hub_models(config: Config) -> Iterator[ModelFiles]:
    """The files of the models that come from the Hub; the embedded ones are always here."""
    from invdpo.curate.checkpoints import model_files, open_clip
    from invdpo.curate.checkpoints.hub import Source
    from invdpo.curate.checkpoints.weights import Weights
    from invdpo.curate.scorers import hpsv2, imagereward
    from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS

    generate, annotate, score = config.generate, config.annotate, config.score
    if generate.model not in EMBEDDED_MODELS:
        source = Source(generate.model, generate.model, generate.revision or "main")
        yield model_files.pipeline_files(source)
    models, clips = [], []
    if "detector" in annotate.annotators:
        models.append(annotate.detector_model)
        clips.append((annotate.detector_clip_model, annotate.detector_clip_pretrained))
    if "clip" in score.scorers:
        clips.append((score.clip_model, score.clip_pretrained))
    if "pickscore" in score.scorers:
        models.append(score.pickscore_model)
    for model in models:
        yield model_files.transformers_files(Weights(model, model, "main"))
    for clip in clips:
        if clip[0] != EMBEDDED:
            yield model_files.clip_files(open_clip.find(*clip))
    if "hpsv2" in score.scorers:
        file = hpsv2.FILES[score.hpsv2_version]
        yield model_files.checkpoint_files(score.hpsv2_checkpoint, hpsv2.REPOSITORY, file)
    if "imagereward" in score.scorers:
        files = imagereward.WEIGHTS, imagereward.CONFIG
        yield model_files.checkpoint_files(None, imagereward.REPOSITORY, *files)

"""What is trained: a LoRA on the denoiser or all of its weights; and saving it for diffusers."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.schemas.ids import derived_seed
from invdpo.schemas.io.files import replace_contents
from invdpo.schemas.io.model_folder import DENOISERS, INDEX, read_index
from invdpo.train.checkpoint.optimizer_state import gather
from invdpo.train.distributed import ProcessGroup, shard
from invdpo.train.models import ModelAdapter
from invdpo.train.models.lora_format import FILE as LORA_FILE
from invdpo.train.models.lora_format import save_lora
from invdpo.train.models.start import load_denoiser, load_lora

PICKLES = {".bin", ".ckpt", ".msgpack"}


class Tuning(ABC):
    """A denoiser in training."""

    denoiser: Any
    named: dict[str, nn.Parameter]
    """The trained parameters, in float32, by their names in the denoiser."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters."""
        return list(self.named.values())

    @abstractmethod
    def reference(self) -> AbstractContextManager[nn.Module]:
        """The frozen denoiser, for objectives that need it in every step."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the tuned weights atomically; every process must call it, the main one writes.

        Raises `WorkspaceError` when the disk refuses.
        """


class LoraTuning(Tuning):
    """Low-rank adapters; the reference is the same denoiser with them switched off."""

    def __init__(self, adapter: ModelAdapter, config: TrainConfig, group: ProcessGroup) -> None:
        self.denoiser: Any = adapter.denoiser
        self.group, self.config, self.component = group, config, adapter.component
        add_lora(self.denoiser, config)
        for parameter in self.denoiser.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.named = _trained(self.denoiser, config, group)

    @contextmanager
    def reference(self) -> Iterator[nn.Module]:
        """The denoiser without its adapters, while the context lasts."""
        self.denoiser.disable_adapters()
        try:
            yield self.denoiser
        finally:
            self.denoiser.enable_adapters()

    def save(self, folder: Path) -> None:
        """`pytorch_lora_weights.safetensors`, which `pipeline.load_lora_weights(folder)` reads."""
        from peft.utils import get_peft_model_state_dict

        layers = {name: gather(t) for name, t in get_peft_model_state_dict(self.denoiser).items()}
        if self.group.is_main:
            replace_contents(
                folder,
                lambda fresh: save_lora(fresh, layers, self.denoiser, self.config, self.component),
                stale="model_index.json",
            )


def add_lora(denoiser: Any, config: TrainConfig) -> None:
    """Put a LoRA on the denoiser unless it has one: a new one, or that of `start_from`."""
    from peft import LoraConfig

    if getattr(denoiser, "peft_config", None):
        return
    check_targets(denoiser, config.lora_targets)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_rank,
        init_lora_weights="gaussian",
        # by their whole names: the end of one may be that of a list of layers, too
        target_modules=[name for name, _ in target_layers(denoiser, config.lora_targets)],
    )
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(config.seed, "lora"))
        denoiser.add_adapter(lora)
    if config.start_from:
        load_lora(denoiser, Path(config.start_from))


def set_reference(adapter: ModelAdapter, config: TrainConfig) -> None:
    """Make the denoiser what phase one asks: with the LoRA of the start if that's the reference."""
    if config.start_from and config.reference == "start":
        add_lora(adapter.denoiser, config)


class FullTuning(Tuning):
    """All weights; a frozen copy is kept only for objectives that ask for it."""

    def __init__(
        self,
        adapter: ModelAdapter,
        config: TrainConfig,
        group: ProcessGroup,
        *,
        keep_reference: bool,
    ) -> None:
        self.denoiser: Any = adapter.denoiser
        self.base, self.group, self.component = adapter.folder, group, adapter.component
        self._frozen = deepcopy(self.denoiser) if keep_reference else None
        if config.start_from:
            load_denoiser(self.denoiser, Path(config.start_from), self.component)
        self.denoiser.requires_grad_(True)
        self.named = _trained(self.denoiser, config, group)
        if self._frozen and group.sharded:
            shard(self._frozen, group)

    @contextmanager
    def reference(self) -> Iterator[nn.Module]:
        """The frozen copy."""
        if self._frozen is None:
            raise RuntimeError("Full tuning was started without keep_reference.")
        yield self._frozen

    def save(self, folder: Path) -> None:
        """A complete pipeline folder: the base model's, with this denoiser in place of its own."""
        weights = {name: gather(t) for name, t in self.denoiser.state_dict().items()}

        def fill(fresh: Path) -> None:
            for path in copied_files(self.base):
                target = fresh / path.relative_to(self.base)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            self._save_denoiser(fresh / self.component, weights)

        if self.group.is_main:
            replace_contents(folder, fill, stale=LORA_FILE)

    def _save_denoiser(self, folder: Path, weights: dict[str, torch.Tensor]) -> None:
        from huggingface_hub import save_torch_state_dict

        self.denoiser.save_config(folder)
        save_torch_state_dict(
            weights,
            folder,
            filename_pattern="diffusion_pytorch_model{suffix}.safetensors",
            max_shard_size="10GB",
        )


def start_tuning(
    adapter: ModelAdapter, config: TrainConfig, group: ProcessGroup, *, keep_reference: bool
) -> Tuning:
    """Make the denoiser trainable as configured. Raises `ConfigError` for unknown targets."""
    if config.tuning == "lora":
        return LoraTuning(adapter, config, group)
    return FullTuning(adapter, config, group, keep_reference=keep_reference)


def _trained(denoiser: Any, config: TrainConfig, group: ProcessGroup) -> dict[str, nn.Parameter]:
    """Set up gradient checkpointing and sharding as configured; the parameters that are trained."""
    if config.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    if group.sharded:
        shard(denoiser, group)
    return {name: p for name, p in denoiser.named_parameters() if p.requires_grad}


def copied_files(base: Path) -> Iterator[Path]:
    """The files of a pipeline that stay: all but the denoiser's, pickles and hidden ones.

    Links are followed within the folder and into the blobs of the Hub's cache: a model of
    somebody else's could have any file of this machine published with it.
    """
    yield base / INDEX
    root = base.resolve()
    homes = (root, root.parent.parent / "blobs")
    for name in sorted(read_index(base).keys() - {*DENOISERS}):
        for path in sorted((base / name).rglob("*")):
            parts, target = path.relative_to(base / name).parts, path.resolve()
            plain = path.suffix not in PICKLES and not _is_hidden(parts)
            if plain and target.is_file() and any(target.is_relative_to(h) for h in homes):
                yield path


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def target_layers(
    denoiser: nn.Module, targets: Sequence[str]
) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    """The layers that get a LoRA, with their names in the denoiser."""
    for name, layer in denoiser.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and _is_target(name, targets):
            yield name, layer


def _is_target(layer: str, targets: Sequence[str]) -> bool:
    return any(layer == target or layer.endswith(f".{target}") for target in targets)


def check_targets(denoiser: nn.Module, targets: Sequence[str]) -> None:
    """Raise `ConfigError` that names every target without a layer, and the names of all layers."""
    layers = [n for n, m in denoiser.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    known = {_short(name) for name in layers}
    unknown = [t for t in targets if not any(_is_target(name, [t]) for name in layers)]
    if unknown:
        raise ConfigError(
            f"lora_targets: no layer of this model is called {', '.join(unknown)}; allowed: "
            f"{', '.join(sorted(known))}."
        )


def _short(name: str) -> str:
    """`down_blocks.0.attn1.to_out.0` as `to_out.0`: from the last part that is a word."""
    parts = name.split(".")
    word = max((i for i, part in enumerate(parts) if not part.isdigit()), default=0)
    return ".".join(parts[word:])

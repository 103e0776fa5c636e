"""Names of torch devices: what `auto` means, and which are there."""

from __future__ import annotations

from typing import TypeVar

from invdpo.schemas import ConfigError
from invdpo.schemas.config.section import Section

S = TypeVar("S", bound=Section)


def torch_device(name: str) -> str:
    """A device's name; `auto` is the accelerator when there is one. Raises `ConfigError`."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
        allowed = ", ".join(["auto", "cpu", *cuda])
        raise ConfigError(f"device: {name!r} is not available. Available: {allowed}.") from None
    return name


def for_each_device(section: S) -> list[S]:
    """The section once for each device that its field `device` names, such as `cuda:0,cuda:1`."""
    named: str = getattr(section, "device")  # noqa: B009 - not every section has one
    names = [name.strip() for name in named.split(",") if name.strip()]
    if not names:
        raise ConfigError("device: empty. Give a device, or `auto`.")
    if len(names) > 1 and "auto" in names:
        raise ConfigError(f"device: found {named!r}; if there are several, name each of them.")
    return [section.model_copy(update={"device": name}) for name in names]

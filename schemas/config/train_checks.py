"""Checks of training's options that depend on each other."""

from __future__ import annotations

from pydantic import ValidationInfo


def check_layers(value: tuple[str, ...]) -> tuple[str, ...]:
    """Of `lora_targets`."""
    if not all(value):
        raise ValueError("expected names of layers, such as to_q, and none that is empty")
    return value


def check_noise(value: str, info: ValidationInfo) -> str:
    """Of `noise`."""
    if value != "inversion" and info.data.get("residual", "endpoint") != "endpoint":
        text = "only residual `endpoint` can use noise from elsewhere than the inversion"
        raise ValueError(f"{text}; expected inversion")
    return value


def check_fresh_noise(value: float | None, info: ValidationInfo) -> float | None:
    """Of `fresh_noise`."""
    if value and info.data.get("residual", "endpoint") != "endpoint":
        raise ValueError("only residual `endpoint` has a target with fresh noise; expected 0")
    if value and info.data.get("noise") == "fresh":
        raise ValueError("noise `fresh` is entirely fresh already; expected 0")
    return value


def check_extrapolation(value: float, info: ValidationInfo) -> float:
    """Of `extrapolation`."""
    if value and info.data.get("tuning", "full") != "full":
        text = "a LoRA is scaled where it is loaded, as in --model MODEL+LORA=1.5"
        raise ValueError(f"only tuning `full` can be extrapolated; {text}; expected 0")
    return value

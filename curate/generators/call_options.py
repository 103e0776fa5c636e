"""Options of a pipeline's own, given by name: checked against the signature of its call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from invdpo.schemas import ConfigError
from invdpo.schemas.io.text import quote

WHERE = "generate.pipeline_options"
OURS = {
    "height": "--resolution",
    "width": "--resolution",
    "num_inference_steps": "--num-inference-steps",
    "guidance_scale": "--guidance-scale",
    "num_images_per_prompt": "--num-candidates",
    "generator": "--seed",
    "latents": "--seed",
    "output_type": None,
    "return_dict": None,
}
"""Argument that we set -> the option of ours that decides it, if one does."""
BEGINNINGS = {"negative_prompt": "--negative-prompt", "prompt": None, "callback": None}
"""As `OURS`, for all arguments whose names begin so."""
SCALARS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
}


def check_options(pipeline: Any, options: Mapping[str, Any], guided_by: str) -> None:
    """Raise `ConfigError` for an option that the pipeline does not take, or that we set.

    `guided_by` is what our `guidance_scale` is passed as.
    """
    kind = type(pipeline).__name__
    taken = {name: _scalars(parameter) for name, parameter in call_parameters(pipeline).items()}
    settable = [name for name in taken if taken[name] and not _is_ours(name, guided_by)]
    for name, value in options.items():
        if _is_ours(name, guided_by):
            instead = _instead(name, guided_by)
            advice = f"Use {instead} instead." if instead else "Leave it out."
            raise ConfigError(f"{WHERE}.{name}: invdpo sets it. {advice}")
        if name not in taken:
            near = get_close_matches(name, settable, n=5, cutoff=0.4) or settable
            allowed = f"Allowed: {', '.join(near)}." if near else "It has none."
            raise ConfigError(f"{WHERE}.{name}: {kind} does not have this option. {allowed}")
        if not taken[name]:
            text = (
                f"{WHERE}.{name}: {kind} needs a value for it that is not a single number or text."
            )
            raise ConfigError(f"{text} Leave it out.")
        if not _fits(value, taken[name]):
            allowed = " or ".join(text for scalar, text in SCALARS.items() if scalar in taken[name])
            text = f"{WHERE}.{name}: found {quote(value)}; {kind} expects {allowed}."
            raise ConfigError(text)


def call_parameters(pipeline: Any) -> dict[str, inspect.Parameter]:
    """What a pipeline is called with, by name."""
    call = type(pipeline).__call__
    try:
        signature = inspect.signature(call, eval_str=True)
    except NameError:  # a type that is imported for type checkers alone
        signature = inspect.signature(call)
    _self, *others = signature.parameters.values()
    return {p.name: p for p in others if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _is_ours(name: str, guided_by: str) -> bool:
    return name in (*OURS, guided_by) or name.startswith(tuple(BEGINNINGS))


def _instead(name: str, guided_by: str) -> str | None:
    if name in (guided_by, *OURS):
        return "--guidance-scale" if name == guided_by else OURS[name]
    return next(option for start, option in BEGINNINGS.items() if name.startswith(start))


def _scalars(parameter: inspect.Parameter) -> set[Any]:
    """The kinds of single values that an argument takes; all where it is unknown."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        kind = type(parameter.default)
        return {kind} if kind in SCALARS else set(SCALARS)
    union = get_origin(annotation) in (Union, UnionType)
    return {*(get_args(annotation) if union else [annotation])} & {*SCALARS}


def _fits(value: Any, scalars: set[Any]) -> bool:
    """An integer is a number too; true and false are neither."""
    return type(value) in scalars or (type(value) is int and float in scalars)

"""The sizes of images that are asked for, and whether a pipeline can generate them.

Some pipelines raise an error at each image of another size, and some generate a smaller one without
a word. So sizes are checked against the squares of pixels that a model computes with.
"""

from __future__ import annotations

import re
from typing import Any

from invdpo.curate.generators.call_options import call_parameters
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.images import Size

BINNING = "use_resolution_binning"
"""Option of pipelines that generate the nearest size they know and resize the image."""


def sizes(config: GenerateConfig) -> list[Size]:
    """The sizes candidates may have; none for the model's own. Raises `ConfigError`."""
    if config.width is not None and config.height is not None:
        if config.resolutions:
            raise ConfigError("generate.resolutions: give either these or width and height.")
        return [(config.width, config.height)]
    parsed = []
    for text in config.resolutions:
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
        if match is None:
            expected = "sizes such as 1024x1024"
            raise ConfigError(f"generate.resolution: found {text!r}; expected {expected}.")
        parsed.append((int(match[1]), int(match[2])))
    return list(dict.fromkeys(parsed))


def check_sizes(pipeline: Any, config: GenerateConfig) -> None:
    """Raise `ConfigError` for a size that the pipeline would refuse, or change without a word."""
    binning = call_parameters(pipeline).get(BINNING)
    if binning and config.pipeline_options.get(BINNING, binning.default):
        return
    multiple = _multiple(pipeline)
    for width, height in sizes(config):
        if width % multiple or height % multiple:
            near = (_near(side, multiple) for side in (width, height))
            ways = dict.fromkeys(f"{w}x{h}" for w, h in zip(*near, strict=True))
            raise ConfigError(
                f"generate.resolution: found {width}x{height}, but {type(pipeline).__name__} "
                f"generates sides of multiples of {multiple}. Give {' or '.join(ways)}."
            )


def _multiple(pipeline: Any) -> int:
    """Pixels of which every side is a multiple: whole positions of the latent, and whole tokens."""
    of_latent = getattr(pipeline, "vae_scale_factor", 1)
    processor = getattr(getattr(pipeline, "image_processor", None), "config", None)
    transformer = getattr(getattr(pipeline, "transformer", None), "config", None)
    token = getattr(transformer, "patch_size", 1)
    found = (of_latent, getattr(processor, "vae_scale_factor", 1), token)
    latent, image, side = (n if isinstance(n, int) else 1 for n in found)
    return max(image, latent * side)


def _near(side: int, multiple: int) -> tuple[int, int]:
    """The nearest multiples below and above, itself for one."""
    return max(multiple, side // multiple * multiple), -(-side // multiple) * multiple

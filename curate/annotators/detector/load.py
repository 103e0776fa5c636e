"""Loads zero-shot detectors of transformers: OWL-ViT, OWLv2 and Grounding DINO."""

from __future__ import annotations

from typing import Any

from invdpo.curate.annotators.detector.boxes import Detector
from invdpo.curate.annotators.detector.dino import Dino
from invdpo.curate.annotators.detector.owl import Owl
from invdpo.curate.checkpoints.weights import Weights
from invdpo.schemas import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded

THRESHOLDS = {"owlvit": 0.1, "owlv2": 0.1, "grounding-dino": 0.25, "mm-grounding-dino": 0.25}
"""Known `model_type`s, each with the default threshold of transformers."""


def kind_of(weights: Weights) -> str:
    """The `model_type`. Raises `ModelError` if it is not one of `THRESHOLDS`."""
    from transformers import AutoConfig

    try:
        with quiet_libraries():
            kind = str(AutoConfig.from_pretrained(weights.location, **weights.options).model_type)
    except Exception as error:
        text = f"{weights.name}: its configuration can't be read ({describe_error(error)})."
        raise ModelError(text) from error
    if kind not in THRESHOLDS:
        known = ", ".join(THRESHOLDS)
        raise ModelError(f"{weights.name}: found a model of kind {kind!r}; expected {known}.")
    return kind


def load(weights: Weights, device: str) -> Detector:
    """The detector, in float32. Raises `ModelError` naming what is missing."""
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    kind = kind_of(weights)
    try:
        with quiet_libraries():
            loaded: Any = AutoModelForZeroShotObjectDetection.from_pretrained(
                weights.location, use_safetensors=True, output_loading_info=True, **weights.options
            )
            processor: Any = AutoProcessor.from_pretrained(weights.location, **weights.options)
    except Exception as error:
        text = f"{weights.name}: no zero-shot detector with safetensors ({describe_error(error)})."
        raise ModelError(text) from error
    network, info = loaded
    check_loaded(weights.name, info)
    network = network.float().to(device).eval()
    if kind.startswith("owl"):
        return Owl(network, processor, device, square=kind == "owlv2")
    return Dino(network, processor, device)

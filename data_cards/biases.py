"""Known biases of the scorers, one sentence each, for the section on limits of a card."""

from __future__ import annotations

from collections.abc import Iterable

BIASES = {
    "aesthetic": "prefers saturated, painterly images and does not see the prompt.",
    "brisque": "measures distortion as it is known from photographs; drawings count as distorted.",
    "clip": "recognises which objects are there better than how many, which has which colour, "
    "and where they are.",
    "composition": "counts facts of scene graphs, and repeats every error of the annotator.",
    "hpsv2": "was trained on choices of paid annotators among images of models of 2022 and 2023.",
    "imagereward": "was trained on choices of a small group of people among images of 2022.",
    "nsfw": "misses some unsafe images and rejects some harmless ones.",
    "pickscore": "was trained on choices of the users of one web site, on their prompts.",
    "soft_tifa": "asks one model one question a fact, and repeats every error of that model.",
    "vqascore": "asks one model one question; how readily it says yes differs by subject.",
}


def known_biases(scorers: Iterable[str]) -> dict[str, str]:
    """Scorer -> sentence, for scorers with a known bias."""
    return {name: BIASES[name] for name in scorers if name in BIASES}

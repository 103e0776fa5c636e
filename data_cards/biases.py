"""Known biases of the scorers, one sentence each, for the section on limits of a card."""

from __future__ import annotations

from collections.abc import Iterable

BIASES = {
    "aesthetic": "likes saturated, painterly images and knows nothing of the prompt.",
    "brisque": "measures distortion as it is known from photographs; drawings count as distorted.",
    "clip": "sees which things are there better than how many, which colour is whose, and where "
    "they stand.",
    "composition": "counts facts of scene graphs, and repeats every error of the annotator.",
    "hpsv2": "was taught by choices of hired people among images of models of 2022 and 2023.",
    "imagereward": "was taught by choices of a small group of people among images of 2022.",
    "nsfw": "misses some unsafe images and strikes some harmless ones.",
    "pickscore": "was taught by choices of the users of one web site, on their prompts.",
    "vqascore": "asks one model one question, whose habit of saying yes differs by subject.",
}


def known_biases(scorers: Iterable[str]) -> dict[str, str]:
    """Scorer -> sentence, for scorers with a known bias."""
    return {name: BIASES[name] for name in scorers if name in BIASES}

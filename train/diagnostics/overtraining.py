"""Signs that a training went too far or can't be judged, in plain sentences with the number."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.text import count_noun
from invdpo.train.monitoring.curves import read_series

log = logging.getLogger("invdpo.train")

FEWEST_PAIRS = 30
"""Validation pairs to choose weights by. The share of n pairs that is right is uncertain by
1/√n (twice its standard error, at a half): by 18 points with 30, by 24 with 18."""
LEAST_LOSS = 0.01
"""Mean training loss below which pairs are known by heart: each is preferred the right way round
with 99 % certainty, where ln 2 (50 %) is the start."""
FALLEN_REWARD = -0.1
"""Reward of the chosen images from which a fall is reported: a tenth less likely."""
RECENT = 10
"""Steps over which the last training losses are averaged."""

Series = Mapping[str, tuple[Sequence[int], Sequence[float]]]
"""Metric -> its steps and its values."""


def small_validation(pairs: int) -> str | None:
    """What to say of a validation set that is too small to choose weights by, if it is."""
    if not 0 < pairs < FEWEST_PAIRS:
        return None
    return (
        f"Only {count_noun(pairs, 'validation pair')} to choose the best step: their accuracy "
        f"is uncertain by {100 / math.sqrt(pairs):.0f} points of 100. Hold out {FEWEST_PAIRS} or "
        "more, or keep the last step's weights (--keep last) and evaluate them with `invdpo eval`."
    )


def overtraining(series: Series, best_loss: float | None) -> Iterator[str]:
    """What to say of the metrics of a training of pairs; nothing of an objective without rewards.

    `best_loss` is the least validation loss, None without validation pairs.
    """
    if not {"loss", "rewards/chosen"} <= series.keys():
        return
    if best_loss is not None and best_loss >= math.log(2):
        yield "The validation loss never fell below ln 2: no step beat the base model."
    losses = series["loss"][1][-RECENT:]
    if (loss := _mean(losses)) < LEAST_LOSS:
        yield (
            f"Over-trained: the loss of the training pairs is {loss:.2g}, and ln 2 = 0.69 was "
            "the start: the model has memorised them. Train fewer steps, with a lower learning "
            "rate, or on more pairs."
        )
    if fall := falling_reward(series):
        yield (
            f"Over-trained: {fall}. Train fewer steps, with a lower learning rate, or compare with "
            "`invdpo eval` first."
        )


def falling_reward(series: Series) -> str | None:
    """The first sign of a collapse, if it is there: the chosen images' error rises.

    Their reward is half of β times what their error is below the reference's.
    """
    values = series.get("validation/rewards/chosen", ((), ()))[1]
    if len(values) < 2:  # one alone tells of no fall
        values = series.get("rewards/chosen", ((), ()))[1]
    recent = max(1, len(values) // 3)
    before, now = values[-2 * recent : -recent], values[-recent:]
    if not before or _mean(now) >= min(FALLEN_REWARD, _mean(before)):
        return None
    return (
        f"the reward of the chosen images is {_mean(now):.2g} and falling (it was "
        f"{_mean(before):.2g} before): the model moves away from the images that it should prefer"
    )


class Watch:
    """Logs the first sign of a collapse once, while there is time to stop the training."""

    def __init__(self, metrics: Path, config: TrainConfig) -> None:
        self._path, self._config, self._told = metrics, config, False

    def __call__(self, metrics: Mapping[str, float]) -> None:
        """Look after a validation; the report says what holds at the end."""
        step, config = metrics["step"], self._config
        if self._told or step % config.validate_every or step == config.max_steps:
            return
        if fall := falling_reward(read_series(self._path)):
            log.warning("Step %d of %d: %s.", step, config.max_steps, fall)
            self._told = True


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

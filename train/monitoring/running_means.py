"""Means over the last steps, which show a course that single steps hide in their noise."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Self

from invdpo.train.checkpoint.metrics_file import Row, read_rows

STEPS = 50
"""Steps in a mean, or all so far while there are fewer."""
METRICS = ("loss", "rewards/accuracies", "rewards/margins")


class RunningMeans:
    """Of `METRICS`, each under its name after `running/`."""

    def __init__(self) -> None:
        self._recent = {name: deque[float](maxlen=STEPS) for name in METRICS}

    @classmethod
    def after(cls, step: int, path: Path) -> Self:
        """As they were after `step`, from the steps in a metrics.jsonl; without it, from none."""
        means = cls()
        for row in read_rows(path) if step and path.is_file() else []:
            if row["step"] <= step:
                means.add(row)
        return means

    def add(self, metrics: Row) -> dict[str, float]:
        """Take in the metrics of the next step; the means with it."""
        for name, values in self._recent.items():
            if name in metrics:
                values.append(metrics[name])
        # summed again in each step, so that a resumed training has the same digits
        return {f"running/{n}": sum(v) / len(v) for n, v in self._recent.items() if v}

"""Where metrics go beside metrics.jsonl. A tracker that fails is switched off with a note."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from invdpo.schemas.errors import ConfigError

Note = Callable[[str], None]
OnStep = Callable[[Mapping[str, float]], None]

IMAGES, PROMPTS = "validation/images", "validation/prompts"
"""Tags of the validation images, and of their prompts."""


@dataclass(frozen=True)
class TrackedRun:
    """What trackers get to know of a training before its steps."""

    output: Path
    """Its folder, in which each tracker has one of its own."""
    name: str
    config: Mapping[str, Any]
    """Its options, in JSON's types."""
    done: int = 0
    """Steps logged before."""


class Tracker(Protocol):
    """Receives the metrics of one step at a time, and images at some of them."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""

    def log_images(self, sheet: Image.Image, prompts: str, step: int) -> None:
        """Record validation images, all on one sheet, and their prompts, one a line."""

    def close(self) -> None:
        """Write out what is left."""


class TensorBoard:
    """Event files in a folder of the output."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.output / "tensorboard"
        if run.done:
            _wait_for_a_later_name(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)  # curves of an earlier run
        writer: Any = SummaryWriter
        self.writer = writer(str(folder), purge_step=run.done + 1 if run.done else None)
        options = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in run.config.items())
        self.writer.add_text("run", f"{run.name}\n\n{options}", run.done)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def log_images(self, sheet: Image.Image, prompts: str, step: int) -> None:
        """Record validation images and their prompts."""
        import numpy as np

        self.writer.add_image(IMAGES, np.asarray(sheet), step, dataformats="HWC")
        self.writer.add_text(PROMPTS, prompts, step)

    def close(self) -> None:
        """Write out what is left."""
        self.writer.close()


def _wait_for_a_later_name(folder: Path) -> None:
    """Until a new event file sorts behind those there, at most a second.

    They are read in the order of their names, of which the second of their making comes first; out
    of order, the steps that a killed training had recorded beyond its state would stay.
    """
    made = (path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*"))
    latest = max((int(second) for second in made if second.isdecimal()), default=0)
    time.sleep(min(1.0, max(0.0, latest + 1 - time.time())))


class WeightsAndBiases:
    """A run of Weights & Biases, its files in the output. Raises `ConfigError` without wandb."""

    def __init__(self, run: TrackedRun) -> None:
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "trackers: found wandb, which is not installed. "
                "Install it with `pip install 'invdpo[wandb]'`, or use tensorboard."
            ) from error
        folder = run.output / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project="invdpo", name=run.name, config=dict(run.config), dir=str(folder)
        )
        self.image: Any = wandb.Image

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""
        self.run.log(dict(metrics), step=step)

    def log_images(self, sheet: Image.Image, prompts: str, step: int) -> None:
        """Record validation images and their prompts."""
        self.run.log({IMAGES: self.image(sheet, caption=prompts)}, step=step)

    def close(self) -> None:
        """Write out what is left."""
        self.run.finish()


TRACKERS: dict[str, Callable[[TrackedRun], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


class Trackers:
    """All trackers of a run; none of them can stop the training."""

    def __init__(self, names: Sequence[str], run: TrackedRun, note: Note) -> None:
        """Raises `ConfigError` for a tracker whose extra is missing."""
        self.note, self.trackers = note, dict[str, Tracker]()
        for name in names:
            try:
                self.trackers[name] = TRACKERS[name](run)
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 (a third party raises anything: offline, no key)
                self._failed(name, error)

    def log(self, metrics: Mapping[str, float]) -> None:
        """Record a step's metrics; `step` among them is the axis."""
        values = {name: value for name, value in metrics.items() if name != "step"}
        self._each(lambda tracker: tracker.log(values, int(metrics["step"])))

    def log_images(self, sheet: Image.Image, prompts: Sequence[str], step: int) -> None:
        """Record the validation images of a step, all on one sheet in the prompts' order."""
        text = "\n".join(f"{number}. {prompt}" for number, prompt in enumerate(prompts, 1))
        self._each(lambda tracker: tracker.log_images(sheet, text, step))

    def close(self) -> None:
        """Finish every tracker."""
        self._each(lambda tracker: tracker.close())

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            try:
                act(tracker)
            except Exception as error:  # noqa: BLE001 (as above)
                del self.trackers[name]
                self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self.note(
            f"Tracker {name} failed ({reason}) and is disabled; metrics.jsonl is still written."
        )


@contextmanager
def open_trackers(names: Sequence[str], run: TrackedRun, note: Note) -> Iterator[Trackers]:
    """Trackers that are finished at the end. Raises as `Trackers` does."""
    trackers = Trackers(names, run, note)
    try:
        yield trackers
    finally:
        trackers.close()

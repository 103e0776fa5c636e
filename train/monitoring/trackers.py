"""Where metrics go beside metrics.jsonl. A tracker that fails is switched off with a note."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from invdpo.schemas.errors import ConfigError

Note = Callable[[str], None]
OnStep = Callable[[Mapping[str, float]], None]


class Tracker(Protocol):
    """Receives the metrics of one step at a time."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""

    def close(self) -> None:
        """Write out what is left."""


class TensorBoard:
    """Event files in `folder`."""

    def __init__(self, folder: Path, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if done:
            _wait_for_a_later_name(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)  # curves of an earlier run
        writer: Any = SummaryWriter
        self.writer = writer(str(folder), purge_step=done + 1 if done else None)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

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
    """A run of Weights & Biases, its files in `folder`. Raises `ConfigError` without wandb."""

    def __init__(self, folder: Path, done: int) -> None:
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "trackers: found wandb, which is not installed. "
                "Install it with `pip install 'invdpo[wandb]'`, or use tensorboard."
            ) from error
        folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(project="invdpo", dir=str(folder))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the metrics of a step."""
        self.run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Write out what is left."""
        self.run.finish()


TRACKERS: dict[str, Callable[[Path, int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


class Trackers:
    """All trackers of a run; none of them can stop the training."""

    def __init__(self, names: Sequence[str], folder: Path, note: Note, done: int = 0) -> None:
        """`done` is the number of steps logged before.

        Raises `ConfigError` for a tracker whose extra is missing.
        """
        self.note, self.trackers = note, dict[str, Tracker]()
        for name in names:
            try:
                self.trackers[name] = TRACKERS[name](folder / name, done)
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 (a third party raises anything: offline, no key)
                self._failed(name, error)

    def log(self, metrics: Mapping[str, float]) -> None:
        """Record a step's metrics; `step` among them is the axis."""
        values = {name: value for name, value in metrics.items() if name != "step"}
        self._each(lambda tracker: tracker.log(values, int(metrics["step"])))

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
def track_metrics(
    names: Sequence[str], folder: Path, note: Note, on_step: OnStep | None, done: int = 0
) -> Iterator[OnStep]:
    """Yields what to call with each step's metrics. Raises as `Trackers` does."""
    trackers = Trackers(names, folder, note, done)

    def step(metrics: Mapping[str, float]) -> None:
        trackers.log(metrics)
        if on_step:
            on_step(metrics)

    try:
        yield step
    finally:
        trackers.close()

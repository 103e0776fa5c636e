"""`ray`: parts spread over processes and machines by Ray Data; the same files as `local`.

Each actor makes its stages once and then works on one part after another. Reading, stages and
writing happen in the actor; what comes back are counts. All machines must see the workspace.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from invdpo.curate.engines.base import ENGINES, MakeStage, OnDevices, Outcome, Task
from invdpo.curate.engines.worker import Stages, perform
from invdpo.schemas import ConfigError, InvdpoError
from invdpo.schemas.io.progress import Tick
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.plugins import require

ACTORS, GPUS = "INVDPO_RAY_ACTORS", "INVDPO_RAY_GPUS"
"""Environment variables: how many actors, and how much of a GPU each of them holds."""

RESTARTS = 2
"""How often a process that dies is restarted; Ray's own default is without end."""


@ENGINES.register("ray")
def ray(make_stage: MakeStage, tasks: Sequence[Task], tick: Tick) -> Iterator[Outcome]:
    """One actor for each GPU, or for each two cores where there is none.

    Joins the running cluster when there is one, and starts a local one otherwise. Raises
    `PluginError` without the extra `ray`.
    """
    if isinstance(make_stage, OnDevices):
        text = "several devices work only with the engine `local`; `ray` assigns one to each actor."
        raise ConfigError(f"device: {text} Leave it `auto`.")
    require("ray", "ray", "the engine `ray`")
    import ray as library
    from ray.data import ActorPoolStrategy, DataContext

    begun = not library.is_initialized()
    if begun:
        library.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        numbers = library.data.from_items(
            [{"task": n} for n in range(len(tasks))], override_num_blocks=len(tasks)
        )
        actor: Any = _Actor
        done = numbers.map(
            actor,
            fn_constructor_args=(make_stage, list(tasks)),
            compute=ActorPoolStrategy(size=_actors(library, tasks)),
            num_gpus=_gpus(library),
            num_cpus=1,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )
        for row in _rows(library, done):
            if row["error"]:
                raise InvdpoError(f"ray: {row['error']} Finished parts are kept.")
            for outcome in row["outcomes"]:
                tick(outcome["rows"])
                yield _outcome(outcome)
    finally:
        if begun:
            library.shutdown()


def _rows(library: Any, done: Any) -> Iterator[dict[str, Any]]:
    """What actors report. A process that dies is restarted by Ray, and its part with it.

    Raises `InvdpoError` when that does not help either.
    """
    try:
        yield from done.iter_rows()
    except library.exceptions.RayError as error:
        text = f"ray: {describe_error(error)}. Finished parts are kept."
        raise InvdpoError(f"{text} Run the same command again to continue.") from error


class _Actor:
    """A process that holds the stages, and with them the models."""

    def __init__(self, make_stage: MakeStage, tasks: Sequence[Task]) -> None:
        self._stages = Stages(make_stage)
        self._tasks = tasks

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done = perform(self._stages, self._tasks[row["task"]], lambda _: None)
        if isinstance(done, str):
            return {"outcomes": [], "error": done}
        return {"outcomes": [_plain(outcome) for outcome in done], "error": ""}


def _plain(outcome: Outcome) -> dict[str, Any]:
    """In types that a table can hold; an error as its text."""
    fields = asdict(outcome) | {"error": str(outcome.error) if outcome.error else None}
    pairs = {"rejections": outcome.rejections, "counts": outcome.counts}
    return fields | {kind: [[name, n] for name, n in of.items()] for kind, of in pairs.items()}


def _outcome(fields: dict[str, Any]) -> Outcome:
    rejections = Counter({str(name): int(n) for name, n in fields["rejections"]})
    error = InvdpoError(fields["error"]) if fields["error"] else None
    counts = {str(name): float(n) for name, n in fields["counts"]}
    return Outcome(fields["stage"], fields["rows"], rejections, fields["seconds"], error, counts)


def _gpus(library: Any) -> float:
    """What an actor holds: one GPU where there are some, or as the variable says."""
    return float(os.environ.get(GPUS, 1 if library.cluster_resources().get("GPU") else 0))


def _actors(library: Any, tasks: Sequence[Task]) -> int:
    """As many as fit, or as the variable says, but no more than there is work for."""
    have, gpus = library.cluster_resources(), _gpus(library)
    fit = int(have.get("GPU", 0) / gpus) if gpus else int(have.get("CPU", 1)) // 2
    return max(1, min(int(os.environ.get(ACTORS, fit)), len(tasks)))

"""Processes that start at once: forked from a server that has imported torch and the models' code.

A fresh Python needs longer for these imports than most tests need for their work.
"""

from __future__ import annotations

import os
import signal
import socket
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.train.worker",
        "invdpo.train.run",
        "invdpo.train.models.stable_diffusion",
        "diffusers.models.unets.unet_2d_condition",
        "diffusers.models.autoencoders.autoencoder_kl",
        "accelerate",
        "peft",
        "torch.distributed.fsdp",
    ]
)
CRASHES = {-signal.SIGABRT, -signal.SIGBUS, -signal.SIGSEGV}
"""Exit codes of processes whose memory was corrupted, which no Python code does."""


def run_processes(
    world: int, target: Callable[..., None], arguments: tuple[str, ...], log: Path, **variables: str
) -> list[int]:
    """Call the target in `world` processes at once, each with the variables that a launcher sets.

    What they print goes to `log`. Returns their exit codes, a signal's negative. Where one crashed
    all are called once more: torch 2.14 with gloo was seen to corrupt its memory, once in hundreds
    of runs.
    """
    codes = _run(world, target, arguments, log, variables)
    if CRASHES.isdisjoint(codes):
        return codes
    warnings.warn(f"Exit codes {codes}, so run again. Printed: {log.read_text()}", stacklevel=2)
    return _run(world, target, arguments, log, variables)


def _run(
    world: int,
    target: Callable[..., None],
    arguments: tuple[str, ...],
    log: Path,
    variables: dict[str, str],
) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**variables, "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        CONTEXT.Process(
            target=_call,
            args=(target, arguments, log, common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}),
        )
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode or 0 for process in processes]


def _call(
    target: Callable[..., None], arguments: tuple[str, ...], log: Path, variables: dict[str, str]
) -> None:
    os.environ.update(variables)
    with log.open("a") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    target(*arguments)

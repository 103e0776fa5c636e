"""A model that is loaded once, whichever thread asks first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from invdpo.curate.checkpoints.load_once import LoadOnce


def test_threads_share_one_model() -> None:
    together, loads = Barrier(4), list[int]()

    def load() -> object:
        loads.append(1)
        return object()

    model = LoadOnce(load)

    def use() -> object:
        together.wait()
        return model()

    with ThreadPoolExecutor(4) as pool:
        results = [future.result() for future in [pool.submit(use) for _ in range(4)]]
    assert len(loads) == len(set(map(id, results))) == 1


def test_a_failed_load_is_tried_again() -> None:
    answers = iter([OSError("no weights"), "model"])

    def load() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    model = LoadOnce(load)
    with pytest.raises(OSError, match="no weights"):
        model()
    assert model() == model() == "model"

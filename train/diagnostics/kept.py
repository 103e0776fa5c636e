"""How many bytes autograd keeps for backward, now and at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Kept:
    """Counts storages, each once however many tensors share it; the given parameters' apart."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.now = self.peak = 0
        self._own = {_storage(p)[0] for p in parameters}
        self._holders: Counter[int] = Counter()

    def add(self, tensor: Tensor) -> None:
        """One more tensor is kept."""
        place, size = _storage(tensor)
        if place in self._own:
            return
        if not self._holders[place]:
            self.now += size
            self.peak = max(self.peak, self.now)
        self._holders[place] += 1

    def remove(self, tensor: Tensor) -> None:
        """A tensor given to `add` is kept no longer."""
        place, size = _storage(tensor)
        if place in self._own:
            return
        self._holders[place] -= 1
        if not self._holders[place]:
            self.now -= size


class _Held:
    def __init__(self, tensor: Tensor, count: Kept) -> None:
        self.tensor, self.count = tensor, count
        count.add(tensor)

    def __del__(self) -> None:
        self.count.remove(self.tensor)


@contextmanager
def counted(parameters: Iterable[nn.Parameter]) -> Iterator[Kept]:
    """Count what graphs built inside keep."""
    count = Kept(parameters)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: _Held(t, count), lambda h: h.tensor):
        yield count


def _storage(tensor: Tensor) -> tuple[int, int]:
    storage = tensor.untyped_storage()
    return storage._cdata, storage.nbytes()  # its address says nothing on the meta device

"""The most memory that a training has taken so far."""

from __future__ import annotations

import sys

import torch

GIGABYTE = 10**9


class PeakMemory:
    """On CUDA of tensors since this was made; elsewhere of the process since its start."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self.metric = "peak_cuda_gb" if self._cuda else "peak_rss_gb"
        """Name of the metric: tensors on the CUDA device, or the process's resident set."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._cuda)

    def gigabytes(self) -> float:
        """Asks the allocator or the system, never the device, which would have to be waited for."""
        peak = torch.cuda.max_memory_allocated(self._cuda) if self._cuda else _peak_rss()
        return peak / GIGABYTE


def _peak_rss() -> int:
    """Bytes; 0 on Windows, where Python's library has no such record."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

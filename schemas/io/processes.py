"""Which process on which machine holds a lock, writes a file or speaks, and whether it ended."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def machine() -> str:
    """What distinguishes machines, and containers that can't see each other's processes."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(facts)


def is_alive(process: int) -> bool:
    """Whether a process of this machine may still be at work."""
    if os.name == "nt":  # where asking in this way would stop it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def is_main_process() -> bool:
    """Whether this process writes and prints for all that a launcher started together."""
    return os.environ.get("RANK", "0") == "0"

"""Prompts that a text encoder truncated: counted with each part, and kept in its notes."""

from __future__ import annotations

from pathlib import Path

from invdpo.curate.storage.parts import list_parts, read_header

CUT_PROMPT = "cut_prompt"
"""What a stage puts into a row beside its columns: the prompt, if it was truncated for that row."""
NUM_CUT = "prompts_cut"
"""The note of a part that has any."""


def count_cut(folder: Path) -> int:
    """The prompts that were truncated for a table; each is in one part. Raises `WorkspaceError`."""
    return sum(int(read_header(part).notes.get(NUM_CUT, 0)) for part in list_parts(folder))


def cut_note(number: int) -> str:
    """What to report of them."""
    which = "1 prompt was" if number == 1 else f"{number} prompts were"
    return f"{which} longer than the text encoder allows and truncated"

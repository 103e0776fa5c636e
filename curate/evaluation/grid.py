"""One image of two models side by side: the same prompts and seeds, wrong facts marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from invdpo.curate.evaluation.results import Outcome, Result
from invdpo.curate.storage.atomic import replacing
from invdpo.schemas.io.images import decode

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

PICTURE = 176
"""Side in pixels to which each image is scaled."""
GAP = 10
EDGE = 24
LINE = 18
"""Height of a line of text."""
HEAD = 52
CELL = 2 * PICTURE + GAP
INK, PALE, GOOD, BAD = "#1d2430", "#6b7482", "#1f8a4c", "#c8322b"
GROUND, CARD = "#eceff3", "#ffffff"


class _Pen(NamedTuple):
    draw: ImageDraw.ImageDraw
    font: ImageFont.FreeTypeFont
    bold: ImageFont.FreeTypeFont


class _Cell(NamedTuple):
    """One prompt, with its texts already broken into lines."""

    result: Result
    prompt: list[str]
    notes: tuple[list[str], list[str]]
    """Wrong facts of the base model's and of the tuned model's image."""

    @property
    def height(self) -> int:
        lines = len(self.prompt) + max(map(len, self.notes))
        return lines * LINE + PICTURE + 5 * GAP + LINE


def write_grid(
    path: Path, results: Sequence[Result], *, columns: int = 3, names: tuple[str, str] | None = None
) -> None:
    """Write a PNG with a card for each of `results`: prompt, both images, what is wrong in each.

    `names` are the captions of the two models, base first. Raises `WorkspaceError` when the file
    can't be written.
    """
    from PIL import Image, ImageDraw

    pen = _pen(ImageDraw.Draw(Image.new("RGB", (1, 1))))
    cells = [_cell(result, pen) for result in results]
    rows = [cells[n : n + columns] for n in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    width = 2 * EDGE + min(columns, max(1, len(cells))) * (CELL + 2 * GAP + EDGE) - EDGE
    height = HEAD + EDGE + sum(row_height + EDGE for row_height in heights)
    canvas = Image.new("RGB", (width, height), GROUND)
    pen = _pen(ImageDraw.Draw(canvas))
    _title(pen, names or ("before", "after"), results)
    top = HEAD + EDGE
    for row, row_height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            _draw(canvas, pen, cell, (EDGE + column * (CELL + 2 * GAP + EDGE), top), row_height)
        top += row_height + EDGE
    with replacing(path) as temporary:
        canvas.save(temporary, "PNG")


def _pen(draw: ImageDraw.ImageDraw) -> _Pen:
    from PIL import ImageFont

    return _Pen(draw, ImageFont.load_default(14), ImageFont.load_default(16))  # type: ignore[arg-type]


def _cell(result: Result, pen: _Pen) -> _Cell:
    base, tuned = (
        [line for fact in outcome.wrong for line in _hanging(wrap(pen, f"- {fact}", PICTURE - 8))]
        for outcome in (result.base, result.tuned)
    )
    return _Cell(result, wrap(pen, result.prompt, CELL), (base, tuned))


def wrap(pen: _Pen, text: str, width: int) -> list[str]:
    """Break text into lines of at most `width` pixels; a longer word is truncated."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.draw.textlength(longer, font=pen.font) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [_cut(pen, line, width) for line in lines]


def _hanging(lines: list[str]) -> list[str]:
    return [lines[0], *(f"  {line}" for line in lines[1:])]


def _cut(pen: _Pen, line: str, width: int) -> str:
    while len(line) > 1 and pen.draw.textlength(line, font=pen.font) > width:
        line = f"{line[:-2]}…"
    return line


def _title(pen: _Pen, names: tuple[str, str], results: Sequence[Result]) -> None:
    counts = [
        (sum(outcome.right for outcome in side), sum(outcome.judged for outcome in side))
        for side in _sides(results)
    ]
    captions = [
        f"{side}: {name}, {right} of {judged} exactly right"
        for side, name, (right, judged) in zip(("left", "right"), names, counts, strict=True)
    ]
    pen.draw.text((EDGE, EDGE), "   |   ".join(captions), INK, font=pen.bold)
    note = "Same prompts and seeds."
    pen.draw.text((EDGE, EDGE + LINE + 4), note, PALE, font=pen.font)


def _sides(results: Sequence[Result]) -> Iterator[list[Outcome]]:
    yield [result.base for result in results]
    yield [result.tuned for result in results]


def _draw(
    canvas: Image.Image, pen: _Pen, cell: _Cell, corner: tuple[int, int], height: int
) -> None:
    left, top = corner
    box = (left, top, left + CELL + 2 * GAP, top + height)
    pen.draw.rounded_rectangle(box, radius=8, fill=CARD)
    left, top = left + GAP, top + GAP
    for line in cell.prompt:
        pen.draw.text((left, top), line, INK, font=pen.font)
        top += LINE
    top += GAP
    outcomes = (cell.result.base, cell.result.tuned)
    for n, (outcome, notes) in enumerate(zip(outcomes, cell.notes, strict=True)):
        _picture(canvas, pen, outcome, notes, (left + n * (PICTURE + GAP), top))


def _picture(
    canvas: Image.Image, pen: _Pen, outcome: Outcome, notes: list[str], corner: tuple[int, int]
) -> None:
    left, top = corner
    word, colour = _verdict(outcome)
    canvas.paste(_scaled(outcome.image), corner)
    frame = (left, top, left + PICTURE - 1, top + PICTURE - 1)
    pen.draw.rectangle(frame, outline=colour, width=3)
    top += PICTURE + GAP
    if outcome.judged:
        _mark(pen, (left, top), outcome.right)
    pen.draw.text((left + LINE + 4, top - 1), word, colour, font=pen.font)
    for n, line in enumerate(notes, start=1):
        pen.draw.text((left, top + n * LINE + 2), line, colour, font=pen.font)


def _verdict(outcome: Outcome) -> tuple[str, str]:
    """In a word, and its colour."""
    if not outcome.judged:
        return "not judged", PALE
    return ("all correct", GOOD) if outcome.right else ("wrong", BAD)


def _mark(pen: _Pen, corner: tuple[int, int], right: bool) -> None:
    """A green tick or a red cross in a square of 14 pixels."""
    x, y = corner
    if right:
        pen.draw.line([(x + 1, y + 8), (x + 5, y + 12), (x + 13, y + 2)], GOOD, 3, joint="curve")
    else:
        pen.draw.line([(x + 2, y + 2), (x + 12, y + 12)], BAD, 3)
        pen.draw.line([(x + 12, y + 2), (x + 2, y + 12)], BAD, 3)


def _scaled(data: bytes | None) -> Image.Image:
    """The full image in a square of `PICTURE` pixels; grey when there is none."""
    from PIL import Image

    square = Image.new("RGB", (PICTURE, PICTURE), "#c4cad3")
    if data is None:
        return square
    image = decode(data)
    scale = PICTURE / max(image.size)
    width, height = (max(1, math.floor(side * scale)) for side in image.size)
    shown = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(shown, ((PICTURE - width) // 2, (PICTURE - height) // 2))
    return square

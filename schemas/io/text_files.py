"""Text files of anyone's, read in one way: which endings, encodings and ends of lines there are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from invdpo.schemas.errors import DataError

TEXT_SUFFIXES = ("", ".txt", ".prompts", ".md")
"""Files of plain text; the empty one means a name without ending."""
ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Marks at the beginning of a file, and what they say; without a mark it is UTF-8."""
POINTER = b"version https://git-lfs.github.com/"
"""How Git LFS begins the file that it leaves where it was not asked for the content."""
NO_TEXT = (
    (b"\x1f\x8b", "compressed by gzip; unpack it first"),
    *((b"BZh%d1AY&SY" % level, "compressed by bzip2; unpack it first") for level in range(1, 10)),
    (b"\xfd7zXZ\0", "compressed by xz; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
    (b"PAR1", "a Parquet file; rename it to end in .parquet"),
)
"""How files begin that are no text, and what to do."""
_LINE_END = re.compile(r"\r\n|\r|\n")


def require_suffix(path: Path, allowed: Sequence[str]) -> str:
    """The ending in small letters, if it is one of those.

    Raises `DataError`: a guess would take any file for text.
    """
    suffix = path.suffix.lower()
    if suffix in allowed:
        return suffix
    names = ", ".join(name or "no ending" for name in allowed)
    found = f"the ending {suffix}" if suffix else "no ending"
    raise DataError(f"{path}: {found} is not supported. Allowed: {names}. Rename it.")


def decode_text(data: bytes, path: object) -> str:
    """The text of a file without marks of its encoding, which files put together have inside too.

    Raises `DataError` for another encoding than UTF-8, UTF-16 or UTF-32, the last two with a mark.
    """
    refuse_pointer(data, path)
    for start, problem in NO_TEXT:
        if data.startswith(start):
            raise DataError(f"{path}: not text but {problem}.")
    encoding = next((name for mark, name in ENCODINGS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding).replace("\ufeff", "")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"not {encoding.upper().removesuffix('-SIG')} at byte {error.start} (line {line})"
        raise DataError(f"{path}: {text}. Save the file as UTF-8.") from None
    if (position := text.find("\0")) >= 0:
        raise DataError(f"{path}: not text (character {position} is zero). Save it as UTF-8.")
    return text


def refuse_pointer(data: bytes, path: object) -> None:
    """Raise `DataError` for a pointer to a file that Git LFS keeps elsewhere."""
    if data.startswith(POINTER):
        text = f"{path}: a pointer of Git LFS, not the file itself"
        raise DataError(f"{text}. Fetch the files of its repository: git lfs pull")


def one_line(text: str) -> str:
    """The text with a blank for each line end, for files in which a line is a text."""
    return " ".join(line.strip() for line in text.splitlines())


def text_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and content of every line that holds something, without blanks around it.

    Lines end with LF, CR LF or CR. Not `str.splitlines`, which also cuts at characters that may
    stand inside a prompt.
    """
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line := line.strip():
            yield number, line

"""Where records of loggers go: the terminal, as far as was asked for, and a log file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from invdpo.console.output import print_note
from invdpo.schemas import ConfigError
from invdpo.schemas.io.logs import settings
from invdpo.schemas.io.processes import is_main_process
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import printable


class Terminal(logging.Handler):
    """Shows records on stderr."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Warnings, and remarks of the loggers that this command follows."""
        level = logging.ERROR if settings.quiet else logging.WARNING
        followed = record.name in settings.shown and not settings.quiet
        return settings.verbose or followed or record.levelno >= level

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; work continues when nobody can read it."""
        print_note(self.format(record))


class FileHandler(logging.Handler):
    """Appends records to a file, one write each, so that a process that is killed loses none.

    Of several processes the first writes everything, the others warnings and errors, and each line
    has its rank. Raises `ConfigError` for a file that can't be written.
    """

    def __init__(self, path: Path, first_line: str) -> None:
        super().__init__(logging.INFO if is_main_process() else logging.WARNING)
        several = os.environ.get("WORLD_SIZE", "1") != "1"
        rank = f" rank {os.environ.get('RANK', '0')}" if several else ""
        line = f"%(asctime)s{rank} %(levelname)s %(name)s: %(message)s"
        self.setFormatter(logging.Formatter(line, "%Y-%m-%d %H:%M:%S"))
        self._path, self._last = path, logging.makeLogRecord({})
        first = logging.makeLogRecord(
            {"name": "invdpo", "levelname": "INFO", "msg": first_line, "levelno": logging.INFO}
        )
        try:
            self._file = path.open("ab", buffering=0)
            if first.levelno >= self.level:
                self._write(first)
        except OSError as error:
            raise ConfigError(f"--log-file: {path}: {_reason(error, path)}") from None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record once, by whichever loggers it comes; work continues if that fails."""
        if record is self._last or self._file.closed:
            return
        self._last = record
        try:
            self._write(record)
        except OSError as error:
            self._file.close()
            print_note(f"{self._path} takes no more ({error.strerror}); the work continues.")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        """The text without secrets, lines after the first one indented."""
        text = printable(without_secrets(self.format(record).strip())).replace("\n", "\n  ")
        self._file.write(f"{text}\n".encode(errors="backslashreplace"))


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"no such folder: {path.parent}. Make it, or name another file."
    return f"{error.strerror or error}. Name a file that can be written."

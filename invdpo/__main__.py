"""`python -m invdpo`, and the `invdpo` script: it imports nothing before it can be stopped."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STOPPED = 130


def open_streams() -> None:
    """Open those that were closed, with nothing behind them.

    Files would get their numbers otherwise, and hold what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def take_any_text() -> None:
    """Let no character be an error: what a stream's encoding lacks is shown by its number.

    Files and pipes have the encoding of the locale, which on Windows is seldom UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not when something else took its place
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def plain_end() -> Iterator[None]:
    """End with a line and a status when stdout takes no more, such as a file on a full disk.

    All is flushed here: what fails when Python itself does it ends in a traceback.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            sys.stderr.write(f"Error: can't write to stdout ({error.strerror}).\n")
        sys.exit(1)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported ends as plainly as later on."""
    open_streams()
    take_any_text()
    try:
        from invdpo.cli import main as run

        with plain_end():
            run()
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped before anything was started.\n")
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()

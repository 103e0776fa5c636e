"""`python -m invdpo`, and the `invdpo` script: it imports nothing before it can be stopped."""

import sys

STOPPED = 130


def take_any_text() -> None:
    """Let no character be an error: what a stream's encoding lacks is shown by its number.

    Files and pipes have the encoding of the locale, which on Windows is seldom UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not when something else took its place
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported ends as plainly as later on."""
    take_any_text()
    try:
        from invdpo.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped before anything was begun.\n")
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()

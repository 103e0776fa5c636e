"""`python -m invdpo`, and the `invdpo` script: it imports nothing before it can be stopped."""

import sys

STOPPED = 130


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported ends as plainly as later on."""
    try:
        from invdpo.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped before anything was begun.\n")
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()

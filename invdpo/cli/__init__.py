"""The command line: one file a command."""

from invdpo.cli.app import app, main

__all__ = ["app", "main"]

"""Errors a user can act on: one or two plain lines that say what was found and what to do."""

from __future__ import annotations


class InvdpoError(Exception):
    """Base of all expected failures; the command line prints its text and exits 1."""


class ConfigError(InvdpoError):
    """A configuration with one or more wrong values; the text lists every one of them."""


class DataError(InvdpoError):
    """Input data that can't be read or does not fit; the text names file, row or key."""


class DocumentError(DataError, ValueError):
    """A YAML or JSON document that is none, or is too large; a `ValueError` as parsers raise."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line
        """Where in the document, if that is known."""


class WorkspaceError(InvdpoError):
    """A workspace that is locked, damaged, read-only, full, or made with another configuration."""


class ModelError(InvdpoError):
    """A model folder that lacks a piece, holds a refused format, or is of another architecture."""


class OfflineError(ModelError):
    """A model of the Hub that is not on this machine, while the Hub can't be reached."""

    def __init__(self, text: str, repo_id: str) -> None:
        super().__init__(text)
        self.repo_id = repo_id
        """Of the model."""


class PluginError(InvdpoError):
    """An unknown plug-in name (the text lists the valid ones) or a missing extra."""

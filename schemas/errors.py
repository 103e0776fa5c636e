"""Errors a user can act on: one or two plain lines that say what was found and what to do."""

from __future__ import annotations


class InvdpoError(Exception):
    """Base of all expected failures; the command line prints its text and exits 1."""


class ConfigError(InvdpoError):
    """A configuration with one or more wrong values; the text lists every one of them."""


class DataError(InvdpoError):
    """Input data that can't be read or does not fit; the text names file, row or key."""


class WorkspaceError(InvdpoError):
    """A workspace that is locked, damaged, read-only, full, or made with another configuration."""


class ModelError(InvdpoError):
    """A model folder that lacks a piece, holds a refused format, or is of another architecture."""


class PluginError(InvdpoError):
    """An unknown plug-in name (the text lists the valid ones) or a missing extra."""

"""Fixtures of the trainer's tests that the command line needs, too."""

from tests.train.conftest import dataset, pipeline

__all__ = ["dataset", "pipeline"]

"""Annotators, one small file each; importing this package registers them in `ANNOTATORS`.

To add one, write a file with a class derived from `Annotator` and name the file here.
"""

from invdpo.curate.annotators import imported as imported
from invdpo.curate.annotators import shapes as shapes
from invdpo.curate.annotators import vlm as vlm
from invdpo.curate.annotators.base import ANNOTATORS, Annotator
from invdpo.curate.annotators.detector import annotator as annotator

__all__ = ["ANNOTATORS", "Annotator"]

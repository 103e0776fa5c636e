"""Scorers, one small file each; importing this package registers them in `SCORERS`.

To add one, write a file with a class derived from `Scorer` and name the file here.
"""

from invdpo.curate.candidate import Candidate
from invdpo.curate.scorers import aesthetic as aesthetic
from invdpo.curate.scorers import brisque as brisque
from invdpo.curate.scorers import clip as clip
from invdpo.curate.scorers import composition as composition
from invdpo.curate.scorers import hpsv2 as hpsv2
from invdpo.curate.scorers import imagereward as imagereward
from invdpo.curate.scorers import nsfw as nsfw
from invdpo.curate.scorers import pickscore as pickscore
from invdpo.curate.scorers import remote as remote
from invdpo.curate.scorers import soft_tifa as soft_tifa
from invdpo.curate.scorers import vqascore as vqascore
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer

__all__ = ["SCORERS", "Candidate", "Judged", "Scorer"]

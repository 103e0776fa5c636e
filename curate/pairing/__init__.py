"""Cuts winner/loser pairs from raw scores, again and again, without scoring again.

`pool` gathers what can be ranked, `normalise` and `combine` make one score of many, `policies`
propose pairs and `thresholds` judge them, `target` fills an exact size and stated shares, `splits`
holds some out, `report` tells what was dropped and why.
"""

from invdpo.curate.pairing.checks import check_columns, check_scores
from invdpo.curate.pairing.cut import cut_pairs
from invdpo.curate.pairing.report import Report, require_target

__all__ = ["Report", "check_columns", "check_scores", "cut_pairs", "require_target"]

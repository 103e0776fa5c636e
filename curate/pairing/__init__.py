"""Cuts winner/loser pairs from raw scores, again and again, without scoring again.

`pool` gathers what can be ranked, `normalise` and `combine` make one score of many, `select` picks
and filters pairs, `report` tells what was dropped and why.
"""

from invdpo.curate.pairing.cut import cut_pairs
from invdpo.curate.pairing.report import require_target

__all__ = ["cut_pairs", "require_target"]

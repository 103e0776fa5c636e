"""Chooses chosen/rejected pairs by raw scores, as often as wanted, without scoring again.

`pool` collects the candidates that can be ranked, `ranking` makes one score of many, `policies`
propose pairs and `thresholds` filter them, `target` fills an exact size and stated shares, `splits`
holds prompts out for validation, `report` says what was dropped and why.
"""

from invdpo.curate.pairing.checks import check_columns, check_scores
from invdpo.curate.pairing.cut import cut_pairs
from invdpo.curate.pairing.report import Report, require_target

__all__ = ["Report", "check_columns", "check_scores", "cut_pairs", "require_target"]

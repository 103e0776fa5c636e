"""What dropped pairs, reason by reason."""

from __future__ import annotations

from invdpo.curate.report.findings import _steps


def test_each_filter_begins_with_what_the_one_before_left() -> None:
    steps = _steps("pairs", 10, {"margin": 3, "doubled": 2})
    assert [(s.name, s.before, s.after, s.unit) for s in steps] == [
        ("margin", 10, 7, "pairs"),
        ("doubled", 7, 5, "pairs"),
    ]
    (none,) = _steps("prompts", 4, {})
    assert (none.name, none.before, none.after) == ("none dropped", 4, 4)

"""Reviews: what people decided on pairs is done, counted, and held against the scorers."""

from typing import Any

import pyarrow as pa
import pytest

from invdpo.curate.pairing import cut_pairs
from invdpo.schemas import DataError
from invdpo.schemas.tables import REVIEWS
from tests.curate.pairing.pairing_tables import config, random_tables

TABLES = random_tables(20, each=3)


def reviews(*rows: tuple[str, str]) -> pa.Table:
    return pa.Table.from_pylist([{"pair_id": i, "decision": d} for i, d in rows], REVIEWS)


def cut(*rows: tuple[str, str], **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    pair_config = config(reviews=True, weights={"a": 1.0}, **options)
    pairs, report = cut_pairs(*TABLES, pair_config, reviews=reviews(*rows))
    return pairs.to_pylist(), report


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["pair_id"] for row in rows]


PLAIN = cut_pairs(*TABLES, config(weights={"a": 1.0}))[0].to_pylist()


def test_without_decisions_nothing_changes() -> None:
    pairs, report = cut()
    assert pairs == PLAIN
    empty = {"ranked": None, "scorers": {"a": None, "b": None}}
    none = {"keep": 0, "flip": 0, "equal": 0, "drop": 0, "missing": 0, "agreement": empty}
    assert report["reviews"] == none
    pairs, report = cut_pairs(
        *TABLES, config(weights={"a": 1.0}), reviews=reviews((PLAIN[0]["pair_id"], "drop"))
    )
    assert pairs.to_pylist() == PLAIN
    assert "reviews" not in report


def test_drop_leaves_out_and_flip_swaps() -> None:
    pairs, report = cut((PLAIN[0]["pair_id"], "drop"), (PLAIN[1]["pair_id"], "flip"))
    assert ids(pairs)[1:] == ids(PLAIN)[2:]
    flipped, before = pairs[0], PLAIN[1]
    assert (flipped["chosen_id"], flipped["rejected_id"]) == (
        before["rejected_id"],
        before["chosen_id"],
    )
    assert flipped["pair_id"] != before["pair_id"]
    assert flipped["margin"] == -before["margin"]
    assert flipped["delta_b"] == -before["delta_b"]
    assert flipped["split"] == before["split"]
    assert list(report["prompts_without_pair"].values()) == ["dropped in review"]


def test_equal_is_no_preference() -> None:
    """The pair is left out for a reason of its own, and counts one half: (1 + 1/2 + 0) / 3."""
    first, second, third = (row["pair_id"] for row in PLAIN[:3])
    pairs, report = cut((first, "equal"), (second, "keep"), (third, "flip"))
    assert ids(pairs)[0] == second
    assert len(pairs) == len(PLAIN) - 1
    assert list(report["prompts_without_pair"].values()) == ["equal in review"]
    reasons = {row["name"]: row["before"] - row["after"] for row in report["filters"]}
    assert reasons["equal in review"] == 1
    assert "dropped in review" not in reasons
    assert report["reviews"]["equal"] == 1
    assert report["reviews"]["agreement"]["ranked"] == 0.5
    twin = cut((second, "flip"))[0][1]["pair_id"]
    assert cut((second, "flip"), (twin, "equal"))[1]["reviews"]["equal"] == 1


def test_a_turned_pair_keeps_its_decision() -> None:
    """On the pair as it came out of a flip, keep holds it, flip turns it back, drop drops it."""
    first = PLAIN[1]["pair_id"]
    flipped, _ = cut((first, "flip"))
    twin = flipped[1]["pair_id"]
    assert cut((first, "flip"), (twin, "keep"))[0] == flipped
    assert ids(cut((first, "flip"), (twin, "flip"))[0]) == ids(PLAIN)
    assert len(cut((first, "flip"), (twin, "drop"))[0]) == len(PLAIN) - 1
    assert ids(cut((first, "drop"), (first, "keep"))[0]) == ids(PLAIN)


def test_kept_pairs_pass_thresholds_and_come_first() -> None:
    narrow = min(PLAIN, key=lambda row: row["margin"])["pair_id"]
    pairs, _ = cut((narrow, "keep"), min_margin=99)
    assert ids(pairs) == [narrow]
    last = max(ids(PLAIN))  # a target takes ids from the front
    assert last not in ids(cut(target_pairs=3)[0])
    pairs, _ = cut((last, "keep"), target_pairs=3)
    assert last in ids(pairs)
    assert len(pairs) == 3


def test_agreement_and_missing_are_counted() -> None:
    """Scorer a chose all; the person turns one of four."""
    decisions = [(row["pair_id"], "keep") for row in PLAIN[:3]] + [(PLAIN[3]["pair_id"], "flip")]
    _, report = cut(
        *decisions, (PLAIN[4]["pair_id"], "drop"), ("0" * 32, "keep"), ("1" * 32, "drop")
    )
    counted = report["reviews"]
    counts = {"keep": 3, "flip": 1, "drop": 1, "missing": 2}
    assert {key: counted[key] for key in counts} == counts
    assert counted["agreement"]["ranked"] == counted["agreement"]["scorers"]["a"] == 0.75
    sides = [row["delta_b"] > 0 for row in PLAIN[:3]] + [PLAIN[3]["delta_b"] < 0]
    assert counted["agreement"]["scorers"]["b"] == sum(sides) / 4


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (reviews(("x", "keep"), ("y", "maybe")), "row 2: decision: found 'maybe'; allowed: keep"),
        (pa.table({"pair_id": ["x"]}), "no column decision; there are: pair_id"),
        (pa.table({"pair_id": [None], "decision": ["keep"]}), "row 1: pair_id: found None"),
        (pa.table({"pair_id": [3], "decision": ["keep"]}), "row 1: pair_id: found 3"),
    ],
)
def test_malformed_reviews_are_refused(table: pa.Table, text: str) -> None:
    with pytest.raises(DataError, match=text):
        cut_pairs(*TABLES, config(reviews=True), reviews=table)

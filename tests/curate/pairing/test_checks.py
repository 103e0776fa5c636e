"""Bad input: every way in which options and tables do not fit together."""

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from invdpo.curate.pairing import check_columns, check_scores, cut_pairs
from invdpo.curate.pairing.pairs import pair_ids
from invdpo.curate.pairing.pool import check_unique, sorted_rows
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.ids import content_id
from tests.curate.pairing.pairing_tables import config, random_tables, scored


def test_tables_that_disagree_tell_what_is_missing_where() -> None:
    _, candidate_rows, scores = random_tables(2)
    scores["a"] = scores["a"].slice(1)
    scores["b"] = pa.concat_tables([scores["b"], scored({"zz": 1.0}, "b")])
    with pytest.raises(DataError) as caught:
        check_scores(candidate_rows, scores)
    text = str(caught.value)
    assert "scores of a lack 1 candidate (c0-0). Remake them: invdpo curate score" in text
    assert "scores of b have 1 row of no candidate (zz)" in text
    check_scores(candidate_rows, {"b": random_tables(2)[2]["b"]})


def test_many_missing_are_not_all_named() -> None:
    _, candidate_rows, scores = random_tables(5)
    with pytest.raises(DataError, match=r"lack 20 candidates \(c0-0, c0-1, c0-2, …\)"):
        check_scores(candidate_rows, {"a": scores["a"].slice(0, 0)})


def test_doubled_ids_are_named() -> None:
    _, candidate_rows, scores = random_tables(2)
    doubled = pa.concat_tables([scores["a"], scores["a"].slice(0, 1)])
    with pytest.raises(DataError, match=r"scores of a: 1 row with the candidate_id .*\(c0-0\)"):
        check_scores(candidate_rows, {"a": doubled})
    ids = [f"{n:032x}" for n in (5, 6, 5)]
    with pytest.raises(DataError, match=f"1 row with the key .*{ids[0]}"):
        check_unique(pa.table({"key": ids}), "key", "table")
    with pytest.raises(DataError, match="1 row without key"):
        check_unique(pa.table({"key": [*ids, None]}), "key", "table")


@pytest.mark.parametrize("form", ["{:032x}", "{}", "{:08d}", "ä{}", "x{:02d}"])
def test_ids_are_sorted_by_their_bytes(form: str) -> None:
    ids = [form.format(n) for n in (7, 3, 11, 3, 250, 0)]
    column = pa.chunked_array([ids[:2], ids[2:]])
    assert [ids[n] for n in sorted_rows(column)] == sorted(ids)
    assert sorted_rows(column.slice(1)).tolist()[0] == 4
    assert sorted_rows(pa.chunked_array([[]], pa.string())).tolist() == []


@pytest.mark.parametrize("text", ["abc", 'a"b', "a\\b", "ä\n\t", "\x00"])
def test_pair_ids_are_content_ids(text: str) -> None:
    (pair_id,) = pair_ids(*(pa.array([side]).to_numpy(False) for side in (text, "z")))
    assert pair_id == content_id("pair", text, "z")


def test_unknown_and_missing_columns_are_told() -> None:
    table = scored({"x": 1.0}).drop_columns("score").append_column("points", pa.array([1.0]))
    with pytest.raises(DataError, match="columns unknown: points; missing: score"):
        check_columns("a", table)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": {"c": 1}}, r"pair\.weights\.c: no such scores .* there are: a, b"),
        ({"weights": {"a": 1, "b": -1}}, r"they cancel out, a=1, b=-1 sum to 0"),
        ({"weights": {"a": 0, "b": 0}}, r"all are 0"),
        ({"weights": {"a": 1e308, "b": 1e308}}, r"their sum overflows"),
        ({"margins": {"c": 1}}, r"pair\.margins: no scores of 'c'; there are: a, b"),
        ({"floors": {"c": 1}}, r"pair\.floors: no scores of 'c'"),
        ({"consensus": 2}, r"pair\.consensus: 2 scorers can't agree; 1 are ranked: a"),
    ],
)
def test_options_that_scores_do_not_fit(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        cut_pairs(*random_tables(2), config(**options))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"target_images": 11141}, "target_images: found 11141, an odd number"),
        ({"target_images": 10, "target_pairs": 6}, "and target_pairs 6; give one of the two"),
        ({"held_out": "clip", "weights": {"clip": 1}}, "held_out: clip .* an entry in weights"),
        ({"held_out": "x", "floors": {"x": 1}}, "held_out: x .* an entry in floors"),
        ({"held_out": "composition", "policy": "hard", "weights": {"a": 1}}, "entry in hard_by"),
        ({"shares": {"objects": 0.5}}, "shares.objects: expected objects. and one of 0, 1, 2"),
        ({"shares": {"colour.red": 0.5}}, "expected KIND.NAME with KIND of objects, relation"),
        ({"shares": {"objects.1": 0.6, "objects.2": 0.5}}, "those of objects sum to 1.1, at most"),
        ({"shares": {"objects.1": 1.5}}, "less than or equal to 1"),
        ({"normalisation": "rank", "min_margin": 2}, "min_margin: found 2; ranks differ by 1"),
        ({"policy": "worst"}, "best-worst"),
        ({"duplicate_distance": 64}, "less than or equal to 63"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        PairConfig(**options)


def test_all_that_is_wrong_is_told_with_its_key() -> None:
    given = {"pair": {"target_images": 3, "shares": {"x.y": 0.5}}}
    with pytest.raises(ConfigError) as caught:
        load_config(None, given)
    text = str(caught.value)
    assert "pair.target_images: found 3, an odd number" in text
    assert "pair.shares.x.y: expected KIND.NAME" in text


def test_later_options_leave_earlier_fingerprints_alone() -> None:
    """Only the rule of the splits changed what earlier workspaces hold."""
    assert set(PairConfig().fingerprint()) == {
        "weights",
        "min_margin",
        "target_pairs",
        "validation_fraction",
        "seed",
        "split_by",
    }
    assert PairConfig(policy="all").fingerprint()["policy"] == "all"

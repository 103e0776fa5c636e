"""What the page is told and what is stored: no answer before a decision, and nothing lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate import steps
from invdpo.curate.review.decisions import Decisions
from invdpo.curate.review.queue import ReviewPairs
from invdpo.curate.review.session import InvalidDecision
from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, DataError, InvdpoError
from invdpo.schemas.config import Config
from invdpo.schemas.tables import REVIEWS
from tests.curate.review.sessions import chosen_position, opposite, session, table
from tests.workspaces import CONFIG

PAIRS = 6


def test_a_choice_is_a_row_that_keeps_or_flips(work: Path) -> None:
    review = session(work)
    ids = [entry.pair_id for entry in review.pairs.entries]
    assert review.decide(0, chosen_position(review, 0), " good ")["decision"] == "keep"
    assert review.decide(1, opposite(chosen_position(review, 1)), None)["decision"] == "flip"
    assert review.decide(2, "drop", "")["decision"] == "drop"
    assert review.decide(3, "equal", None)["choice"] == "equal"
    rows = table(work)
    assert [(r["pair_id"], r["decision"], r["note"]) for r in rows] == [
        (ids[0], "keep", "good"),
        (ids[1], "flip", None),
        (ids[2], "drop", None),
        (ids[3], "equal", None),
    ]
    assert {row["reviewer"] for row in rows} == {"ann"}
    assert pq.read_schema(work / "reviews.parquet").names == REVIEWS.names
    assert review.state()["counts"] == {"keep": 1, "flip": 1, "equal": 1, "drop": 1}


def test_another_run_goes_on(work: Path) -> None:
    review = session(work)
    for number in (0, 1, 3):
        review.decide(number, "keep", None)
    again = session(work)
    assert again.state()["next"] == 2
    assert (again.next_after(2), again.next_after(5)) == (4, 2)
    assert again.pair(0)["choice"] == chosen_position(again, 0)
    for number in (2, 4, 5):
        again.decide(number, "drop", None)
    assert again.state()["next"] is None


def test_nothing_leads_before_a_decision(work: Path) -> None:
    review = session(work)
    before = review.pair(0)
    assert before["answer"] is None
    assert not {"score", "chosen", "margin"} & set(str(before).split("'"))
    answer = review.answer(0)
    row = review.pairs.record(0)
    position = answer["chosen"]
    scores = {score["name"]: score for score in answer["scores"]}
    assert set(scores) == {"clip", "composition"}
    assert scores["clip"][position] == row["chosen_clip"]
    assert scores["clip"][opposite(position)] == row["rejected_clip"]
    assert len(answer["left"]["holds"]) == len(before["facts"])
    assert answer["left"]["boxes"][0]["text"] == "1 red circle"
    review.decide(0, "left", None)
    assert review.pair(0)["answer"] == answer
    sides = {review.pairs.chosen_left(n) for n in range(PAIRS)}
    assert sides == {True, False}


def test_the_picture_is_the_one_that_is_judged(work: Path) -> None:
    review = session(work)
    for number in range(PAIRS):
        row, position = review.pairs.record(number), chosen_position(review, number)
        assert review.picture(number, position) == row["chosen"]["bytes"]
        assert review.picture(number, opposite(position)) == row["rejected"]["bytes"]


def test_all_open_puts_the_chosen_picture_left(work: Path) -> None:
    review = session(work, shown=True)
    for number in range(PAIRS):
        assert review.pair(number)["answer"]["chosen"] == "left"
        assert review.decide(number, "left", None)["decision"] == "keep"


def test_undo_takes_back_what_this_run_decided(work: Path) -> None:
    session(work).decide(0, "drop", None)
    review = session(work)
    review.decide(1, "keep", None)
    review.decide(0, "keep", None)
    assert review.undo()["number"] == 0
    assert review.pair(0)["choice"] == "drop"
    assert review.undo()["number"] == 1
    assert review.undo()["number"] is None
    assert [row["decision"] for row in table(work)] == ["drop"]


def test_two_people_at_once_lose_nothing(work: Path) -> None:
    """Two servers on one table, each with its own memory of it."""
    path = work / "reviews.parquet"
    people = [Decisions(path, name) for name in ("ann", "bob")]

    def work_on(who: Decisions, name: str) -> None:
        for n in range(10):
            who.add(f"{name}{n}", "keep", None)

    threads = [
        threading.Thread(target=work_on, args=(who, name))
        for who, name in zip(people, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = table(work)
    assert {row["pair_id"] for row in rows} == {f"{name}{n}" for name in "ab" for n in range(10)}
    people[0].undo()
    assert len(table(work)) == 19
    assert {row["reviewer"] for row in table(work) if row["pair_id"].startswith("b")} == {"bob"}


@pytest.mark.parametrize(
    ("choice", "note"), [("both", None), (None, None), (1, None), ("left", 5), ("left", "x" * 1001)]
)
def test_what_makes_no_sense_is_not_written_down(work: Path, choice: object, note: object) -> None:
    with pytest.raises(InvalidDecision):
        session(work).decide(0, choice, note)
    assert table(work) == []


def test_pairs_that_were_flipped_are_not_asked_again(work: Path) -> None:
    """`pair --reviews` flips a pair, which gives it another id: its decision still counts."""
    review = session(work)
    ids = [entry.pair_id for entry in review.pairs.entries]
    review.decide(0, opposite(chosen_position(review, 0)), None)
    review.decide(1, "drop", None)
    config = Config(pair=CONFIG.pair.model_copy(update={"reviews": True}))
    steps.pair(Workspace(work), config, RunOptions(overwrite=True, progress=False))
    again = session(work)
    new = [entry.pair_id for entry in again.pairs.entries]
    assert ids[0] not in new
    assert ids[1] not in new
    turned = next(n for n, entry in enumerate(again.pairs.entries) if entry.flipped_id == ids[0])
    assert again.pair(turned)["choice"] == chosen_position(again, turned)
    assert again.state()["counts"] == {"keep": 1, "flip": 0, "equal": 0, "drop": 0}


def test_orders(work: Path) -> None:
    as_is = [entry.pair_id for entry in ReviewPairs(work / "dataset", "set").entries]
    mixed = [entry.pair_id for entry in ReviewPairs(work / "dataset", "random").entries]
    assert sorted(mixed) == sorted(as_is)
    assert mixed != as_is
    assert mixed == [entry.pair_id for entry in ReviewPairs(work / "dataset", "random").entries]
    doubtful = ReviewPairs(work / "dataset", "doubtful", [as_is[4]]).entries
    assert doubtful[0].pair_id == as_is[4]
    margins = [entry.margin for entry in doubtful[1:]]
    assert margins == sorted(margins)
    with pytest.raises(ConfigError, match="allowed: random, doubtful, set"):
        ReviewPairs(work / "dataset", "best")


def test_what_can_not_be_reviewed(work: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no dataset"):
        ReviewPairs(tmp_path, "set")
    shard = next((work / "dataset/data").glob("train*"))
    pq.write_table(pa.table({"jpg_0": ["a"]}), shard)
    with pytest.raises(DataError, match="not a dataset of invdpo: column pair_id, prompt"):
        ReviewPairs(work / "dataset", "set")
    shard.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        ReviewPairs(work / "dataset", "set")


def test_a_table_of_something_else_is_left_alone(work: Path) -> None:
    path = work / "reviews.parquet"
    write_part(path, pa.table({"a": [1]}), {})
    before = path.read_bytes()
    with pytest.raises(DataError, match="no column pair_id, decision"):
        session(work)
    path.write_bytes(b"mine")
    with pytest.raises(InvdpoError, match="damaged"):
        session(work)
    path.write_bytes(before)
    assert path.read_bytes() == before

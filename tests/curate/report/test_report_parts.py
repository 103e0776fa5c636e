"""The parts of a page: facts in words, the choice of pairs, small images, origins."""

from __future__ import annotations

import base64
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invdpo.curate.report import examples
from invdpo.curate.report.examples import by_stratum, strata_groups, worst_groups
from invdpo.curate.report.findings import WorstPairs
from invdpo.curate.report.page import number, setting, share, signed
from invdpo.curate.report.provenance import made_by, public_name, read_provenance
from invdpo.curate.report.thumbnails import SIDE, make_thumbnail
from invdpo.curate.scene_graphs.wording import (
    fact_texts,
    facts_hold,
    observed_objects,
    parse_valid_graph,
)
from invdpo.curate.scorers.composition import composition
from invdpo.curate.storage.parts import read_part, write_part
from invdpo.schemas import SceneGraph
from tests.curate.report.report_workspaces import (
    RED_LEFT_OF_BLUE,
    SEEN_RIGHT,
    SEEN_WRONG,
    picture,
    workspace,
)

ASKED = SceneGraph.from_dict(RED_LEFT_OF_BLUE)


def test_facts_in_words() -> None:
    assert [fact.text for fact in fact_texts(ASKED)] == [
        "circle",
        "circle is red",
        "square",
        "square is blue",
        "red circle left of blue square",
        "1 × circle",
        "1 × square",
        "2 objects in all",
    ]


def test_objects_of_one_name_are_told_apart() -> None:
    stars = [
        {"item_id": n, "label": "star", "attributes": [c]} for n, c in enumerate(("red", "tan"))
    ]
    texts = [fact.text for fact in fact_texts(SceneGraph.from_dict({"items": stars}))]
    assert texts[:4] == ["star", "star is red", "another star", "another star is tan"]


@pytest.mark.parametrize("seen", [SEEN_RIGHT, SEEN_WRONG, {"items": []}])
def test_facts_that_hold_are_those_of_the_scorer(seen: dict[str, object]) -> None:
    observed = SceneGraph.from_dict(seen)
    holds = facts_hold(ASKED, observed)
    assert len(holds) == len(fact_texts(ASKED))
    assert sum(holds) / len(holds) == composition(ASKED, observed)["satisfied"]


def test_what_was_seen() -> None:
    first, second = observed_objects(ASKED, SceneGraph.from_dict(SEEN_WRONG))
    assert (first.number, first.phrase, first.asked) == (1, "red circle", True)
    assert (second.number, second.phrase, second.asked) == (2, "blob", False)
    assert all(thing.asked for thing in observed_objects(None, SceneGraph.from_dict(SEEN_WRONG)))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no JSON",
        "[]",
        '{"items": 3}',
        '{"items": [], "relations": [{"item1": 1, "relation": "on", "item2": 2}]}',
    ],
)
def test_graphs_that_cannot_be_shown(text: str | None) -> None:
    assert parse_valid_graph(text) is None


def test_worst_cases_stand_once() -> None:
    worst = WorstPairs(least_margin=["a", "b", "gone"], most_conflict=["b", "c"])
    first, second = worst_groups(worst, ["a", "b", "c"])
    assert (first.pairs, first.also) == (("a", "b"), ())
    assert (second.pairs, second.also) == (("c",), ("b",))
    assert worst_groups(None, ["a"]) == []
    assert worst_groups(WorstPairs(least_margin=["gone"]), ["a"]) == []


@given(st.dictionaries(st.text(min_size=1), st.sampled_from("123"), max_size=300))
def test_every_stratum_is_shown(names: dict[str, str]) -> None:
    strata = by_stratum(names, lambda n: {"objects": n or "", "parity": str(int(n or 0) % 2)})
    groups = strata_groups(strata, [])
    flat = list(itertools.chain.from_iterable(groups.values()))
    assert {group.title for group in groups.get("objects", [])} == set(names.values())
    assert all(group.pairs or group.also for group in flat)
    pairs = [pair for group in flat for pair in group.pairs]
    assert len(pairs) == len(set(pairs)) <= examples.MOST
    for kind, kinds in groups.items():
        for group in kinds:
            assert {*group.pairs, *group.also} <= set(strata[kind][group.title])


def test_many_strata_do_not_make_the_page_long() -> None:
    strata = {"kind": {str(n): [f"{n}-{k}" for k in range(9)] for n in range(100)}}
    groups = strata_groups(strata, [])["kind"]
    assert sum(len(group.pairs) for group in groups) == examples.MOST


def noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(64, 64), (2000, 1000), (3000, 1), (1, 1)])
@pytest.mark.parametrize("budget", [800, 20_000])
def test_pictures_keep_within_their_budget(size: tuple[int, int], budget: int) -> None:
    thumbnail = make_thumbnail(noise(*size), budget)
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == size
    data = base64.b64decode(thumbnail.uri.partition("base64,")[2])
    assert len(data) <= budget
    with Image.open(io.BytesIO(data)) as image:
        assert max(image.size) <= min(SIDE, max(size))


def test_small_pictures_stay_as_they_are() -> None:
    thumbnail = make_thumbnail(noise(64, 64), 20_000)
    assert thumbnail is not None
    assert thumbnail.small
    with Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2]))) as image:
        assert image.convert("RGB").tobytes() == Image.open(io.BytesIO(noise(64, 64))).tobytes()


@pytest.mark.parametrize("data", [None, b"", b"<svg onload='alert(1)'/>", picture("red")[:60]])
def test_what_is_no_picture_is_not_shown(data: bytes | None) -> None:
    assert make_thumbnail(data, 20_000) is None


def test_provenance(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work", ["a"] * 3)
    rows = {(row.step, row.name): row for row in read_provenance(ws)}
    assert rows["prompts", "hand"].rows == 3
    assert rows["images", "model"].rows == 6
    assert rows["images", "model"].detail == "r1, steps 12, guidance 2, width 64, height 64"
    assert rows["scores", "clip"].detail == "2"
    part = ws.scores_dir("clip") / "part-00000.parquet"
    write_part(part, read_part(part), {"score": {"distribution": "mine 0.1"}})
    assert [row.detail for row in read_provenance(ws) if row.name == "clip"] == ["mine 0.1, 2"]
    assert made_by(ws.pairs_path)[0] is not None
    assert made_by(tmp_path / "none")[0] is None


@pytest.mark.parametrize(
    ("name", "shown_name"),
    [("/a/b/model", "model"), ("owner/model", "owner/model"), (None, "unknown"), ("/", "/")],
)
def test_folders_of_this_machine_are_not_shown(name: str | None, shown_name: str) -> None:
    assert public_name(name) == shown_name


def test_numbers_in_words() -> None:
    assert [number(x) for x in (None, 0.0, 1.5, -0.25, 1e-7, 12345.0)] == [
        "–",
        "0.000",
        "1.500",
        "−0.250",
        "1e−07",
        "12,345",
    ]
    assert signed(0.5) == "+0.500"
    assert share(0.123) == "12.3 %"
    assert setting({"clip": 0.25, "a": 1}) == "clip 0.25, a 1"
    assert setting([]) == "none"

"""The parts that the benchmarks count and search with."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def part(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 6, 10, 22, 63, 64, 99])
def test_search_finds_the_largest_even_number_that_fits(limit: int) -> None:
    tried: list[int] = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= limit

    found = part("rounds").search(fits, 64, lambda: False)
    assert found == min(64, limit if limit < 2 else limit // 2 * 2)
    assert max(tried) <= 64


def test_search_stops_when_late() -> None:
    late = iter([False, False, True, True])
    assert part("rounds").search(lambda _: True, 64, lambda: next(late)) == 2


def test_out_of_memory_is_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, machine, networks = part("rounds"), part("machine"), part("networks")
    real = rounds.Round.pair

    def pair(self: Any, points: int, limit: int) -> None:
        if limit > 2 or not self.unet.is_gradient_checkpointing:
            raise torch.OutOfMemoryError("no memory left")
        real(self, points, limit)

    monkeypatch.setattr(rounds.Round, "pair", pair)
    monkeypatch.setattr(rounds, "ROUNDS", (("lora", False), ("lora", True)))
    monkeypatch.setattr(rounds, "POINTS", (1, 4))
    monkeypatch.setattr(rounds, "flops", lambda *_: 1e9)
    small = machine.Machine(torch.device("cpu"), networks.TINY, float("inf"))
    cells, largest, notes = rounds.measure(small, 1e12)
    assert [line[2] for line in largest] == ["0: out of memory", "2"]
    assert [line[:4] for line in cells] == [("lora", "yes", "1", "2"), ("lora", "yes", "4", "2")]
    assert notes == []


def test_no_time_leaves_cells_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, machine, networks = part("rounds"), part("machine"), part("networks")
    monkeypatch.setattr(rounds, "flops", lambda *_: 1e9)
    over = machine.Machine(torch.device("cpu"), networks.TINY, 0.0)
    cells, largest, notes = rounds.measure(over, 1e12)
    assert (cells, largest) == ([], [])
    assert [note.split(":")[0] for note in notes] == ["Out of time"] * 4


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = part("accelerator")
    monkeypatch.setattr(accelerator, "NEEDED", ("torch", "surely_no_package"))
    message = accelerator._missing()
    assert message.startswith("Missing here: surely_no_package.")
    assert "wheels" in message


def test_sizes_of_the_published_networks() -> None:
    counting, networks = part("counting"), part("networks")
    for of, count in ((networks.SD15, 859_520_964), (networks.SDXL, 2_567_463_684)):
        assert sum(p.numel() for p in counting.network(of, "full").parameters()) == count


def test_flops_and_graphs_of_a_tiny_network() -> None:
    counting, tiny = part("counting"), part("networks").TINY
    forward, lora, full = (counting.flops(tiny, kind) for kind in ("forward", "lora", "full"))
    assert 2.5 * forward < full < 3.5 * forward
    assert 1.5 * forward < lora < full
    plain, less = (counting.graph_bytes(tiny, "full", which) for which in (False, True))
    assert 0 < less < plain / 2


def test_published_models_are_read_from_their_configurations(tmp_path: Path) -> None:
    sizes = part("sizes")
    for of in part("published").PUBLISHED:
        adapter, config = sizes.load(of.write(tmp_path / of.name))
        assert (adapter.side, config.resolution) == (of.side, None)
        assert adapter.prompt_shapes(sizes.TOKENS)


def test_pages_cover_every_column_chunk(tmp_path: Path) -> None:
    """Their bytes add up to what the file says of its columns, and a new row changes few."""
    pages = part("pages")
    texts = [f"{n:08d}" * 40 for n in range(3000)]
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    for path, values in ((old, texts), (new, ["first", *texts])):
        table = pa.table({"text": values, "empty": pa.nulls(len(values), pa.string())})
        sizes = {"min_chunk_size": 16_000, "max_chunk_size": 64_000}
        pq.write_table(
            table,
            path,
            use_dictionary=False,
            compression="NONE",
            write_page_checksum=True,
            use_content_defined_chunking=sizes,
        )
    group = pq.read_metadata(old).row_group(0)
    total = sum(group.column(n).total_compressed_size for n in range(group.num_columns))
    assert sum(size for _, size in pages.pages(old)) == total
    kept, whole = pages.shared([old], [new])
    assert 0.8 < kept / whole < 1
    assert pages.shared([old], [old]) == (total, total)

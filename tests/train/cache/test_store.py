from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from invdpo.schemas.errors import WorkspaceError
from invdpo.train.cache import store as store_module
from invdpo.train.cache.store import Shard, Store

KEY = {"kind": "things", "model": "abc"}


def filled(root: Path) -> Store:
    store = Store(root, KEY)
    store.add(["a", "b"], {"x": torch.arange(12.0).view(2, 3, 2)})
    store.add(["c"], {"x": torch.full((1, 3, 2), 7.0)})
    return store


def test_rows_come_back_in_the_order_asked(tmp_path: Path) -> None:
    store = filled(tmp_path)
    expected = torch.stack([torch.full((3, 2), 7.0), torch.arange(6.0).view(3, 2)])
    assert torch.equal(store.get("x", ["c", "a"]), expected)
    picked = store.get("x", ["b", "b"], torch.tensor([[0, 2], [1, 1]]))
    assert picked.tolist() == [[[6, 7], [10, 11]], [[8, 9], [8, 9]]]


def test_another_process_finds_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    filled(tmp_path)
    again = Store(tmp_path, KEY)
    assert again.missing(["d", "a", "d", "c"]) == ["d"]
    assert torch.equal(again.get("x", ["c"]), torch.full((1, 3, 2), 7.0))


def test_another_key_is_another_store(tmp_path: Path) -> None:
    filled(tmp_path)
    assert Store(tmp_path, {**KEY, "model": "xyz"}).missing(["a"]) == ["a"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "header", "empty"])
def test_damaged_shards_are_removed_and_their_rows_missing(tmp_path: Path, damage: str) -> None:
    store = filled(tmp_path)
    path = max(store.folder.glob("*.safetensors"), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    elif damage == "header":
        content[9] ^= 255
    else:
        del content[-8 if damage == "truncate" else 0 :]
    path.write_bytes(content)
    again = Store(tmp_path, KEY)
    assert again.missing(["a", "b", "c"]) == ["a", "b"]
    assert again.damaged == [path.name]
    assert not path.exists()


def test_only_changed_shards_are_verified_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = filled(tmp_path), Shard.is_sound
    checked: list[Path] = []

    def is_sound(shard: Shard) -> bool:
        checked.append(shard.path)
        return real(shard)

    monkeypatch.setattr(Shard, "is_sound", is_sound)
    assert Store(tmp_path, KEY).missing("abc") == []
    assert checked == []
    touched = min(store.folder.glob("*.safetensors"))
    os.utime(touched)
    assert Store(tmp_path, KEY).missing("abc") == []
    assert checked == [touched]
    assert Store(tmp_path, KEY).missing("abc") == []
    assert checked == [touched]


def test_looking_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = next(store.folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    before = sorted(store.folder.iterdir())
    assert len(Store(tmp_path, KEY).lacks("abc")) in {1, 2}
    assert sorted(store.folder.iterdir()) == before


def test_shards_of_other_shapes_live_together(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.add(["wide"], {"x": torch.zeros(1, 3, 5)})
    again = Store(tmp_path, KEY)
    assert (again.shape("x", "a"), again.shape("x", "wide")) == ((3, 2), (3, 5))
    assert again.get("x", ["wide"]).shape == (1, 3, 5)


def test_a_temporary_file_that_goes_while_one_looks_does_no_harm(tmp_path: Path) -> None:
    folder = Store(tmp_path, KEY).folder
    folder.mkdir(parents=True)
    (folder / "listed-then-renamed.tmp").symlink_to(tmp_path / "gone")
    Store(tmp_path, KEY).add(["new"], {"x": torch.zeros(1, 2)})
    assert Store(tmp_path, KEY).missing(["new"]) == []


def test_writers_at_once_do_no_harm(tmp_path: Path) -> None:
    rows = [(["a", "b"], torch.zeros(2, 3)), (["b", "c"], torch.zeros(2, 3))] * 10
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: Store(tmp_path, KEY).add(row[0], {"x": row[1]}), rows))
    assert Store(tmp_path, KEY).missing("abc") == []
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2


def test_memory_does_not_grow_with_the_cache(tmp_path: Path) -> None:
    """Reading 2 of 256 points of every row leaves the rest of 64 MB on disk."""
    code = """
import sys
from pathlib import Path
import torch
from invdpo.train.cache.store import Store

def megabytes() -> list[int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = [line.split() for line in lines if line.startswith(("RssAnon", "VmRSS"))]
    return sorted(int(kilobytes) // 1024 for _, kilobytes, _ in fields)

root, key = Path(sys.argv[1]), {"kind": "big"}
for n in range(4):
    Store(root, key).add([str(n)], {"x": torch.full((1, 256, 16384), float(n))})
store = Store(root, key)
store.get("x", ["0"], torch.tensor([[0]]))
before = megabytes()
again = Store(root, key)
values = again.get("x", list("0123"), torch.tensor([[3, 200]] * 4))
assert values.mean((1, 2)).tolist() == [0, 1, 2, 3]
print(*(now - then for now, then in zip(megabytes(), before)))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    own, mapped = map(int, done.stdout.split())
    # the kernel maps a little of the file around each read, and takes it back when it needs room
    assert own < 4
    assert mapped < 32


def test_only_the_shards_used_last_stay_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps are limited; a shard that was let go is mapped again when it is wanted."""
    monkeypatch.setattr(store_module, "OPEN_SHARDS", 2)
    store = Store(tmp_path, KEY)
    for n in range(4):
        store.add([str(n)], {"x": torch.full((1, 2), float(n))})

    def mapped() -> list[str]:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return [line.split()[-1] for line in lines if str(store.folder) in line]

    assert store.get("x", list("0123")).mean(1).tolist() == [0, 1, 2, 3]
    assert len(mapped()) == 2
    assert store.get("x", list("3031")).mean(1).tolist() == [3, 0, 3, 1]
    assert len(mapped()) == 2


def test_tensors_are_mapped_not_read(tmp_path: Path) -> None:
    from safetensors import safe_open

    store = filled(tmp_path)
    path = next(iter(store.folder.glob("*.safetensors")))
    with safe_open(path, framework="pt") as file:
        first, second = file.get_tensor("x"), file.get_tensor("x")
    assert first.data_ptr() == second.data_ptr()


def test_an_unwritable_folder_is_told_plainly(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(WorkspaceError, match="Not a directory"):
        Store(blocked, KEY).add(["a"], {"x": torch.zeros(1)})

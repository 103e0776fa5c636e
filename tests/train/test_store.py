from __future__ import annotations

from pathlib import Path

import pytest
import torch

from invdpo.schemas.errors import WorkspaceError
from invdpo.train.store import Store

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
    assert again.damaged == [path.name]
    assert again.missing(["a", "b", "c"]) == ["a", "b"]
    assert not path.exists()


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
    with pytest.raises(WorkspaceError, match="can't be written"):
        Store(blocked, KEY).add(["a"], {"x": torch.zeros(1)})

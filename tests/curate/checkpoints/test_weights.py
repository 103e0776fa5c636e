"""Weights of scorers that can't be found, read or filled in: what the errors say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from invdpo.curate.checkpoints.weights import fill, find_file, find_weights, read_tensors
from invdpo.schemas import ModelError
from tests.hub_server import HubServer


def test_a_model_that_is_neither_a_folder_nor_an_id() -> None:
    with pytest.raises(ModelError, match=r"score\.pickscore_model: found 'no such'; give a folder"):
        find_weights("no such", "score.pickscore_model")


def test_a_checkpoint_of_the_hub_that_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    """The way out is in the error: the option that takes a file of one's own."""
    with pytest.raises(ModelError, match=r"(?s)alice/gone.*\nhead\.pt can also be given by --head"):
        find_file(None, "alice/gone", "head.pt", "--head")
    missing = str(tmp_path / "mine.pt")
    with pytest.raises(ModelError, match=r"mine\.pt' is not there\. Give the file head\.pt"):
        find_file(missing, "alice/gone", "head.pt", "--head")
    assert not hub.repos


@pytest.mark.parametrize("content", [[torch.zeros(1)], {}, {"state_dict": {"epoch": 3}}])
def test_a_file_of_other_things_than_tensors(tmp_path: Path, content: object) -> None:
    path = tmp_path / "head.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"head\.pt: not a checkpoint of tensors"):
        read_tensors(path)


def test_tensors_below_their_usual_key_fill_a_module(tmp_path: Path) -> None:
    path, module = tmp_path / "head.pt", nn.Linear(2, 1)
    torch.save({"state_dict": {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}}, path)
    tensors = read_tensors(path)
    fill(module, tensors, path)
    assert module(torch.tensor([3.0, 4.0])).item() == 7.0
    with pytest.raises(
        ModelError, match=r"head\.pt: weights of another architecture \(size mismatch for"
    ):
        fill(nn.Linear(3, 1), tensors, path)
    with pytest.raises(ModelError, match="bias"):
        fill(module, {"weight": tensors["weight"]}, path)

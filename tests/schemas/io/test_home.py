"""`~` is the home folder wherever a path is given."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from invdpo.schemas import ConfigError
from invdpo.schemas.config import AnnotateConfig, Config, GenerateConfig, TrainConfig
from invdpo.schemas.config.load import load_config
from invdpo.schemas.io.home import expand_home, expand_listed, expand_path


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", "/h")
    return "/h"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~", "/h"),
        ("~/a b", "/h/a b"),
        ("~/a,~/b", "/h/a,~/b"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x"),
        ("~$lock.csv", "~$lock.csv"),
        ("a/~/b", "a/~/b"),
        ("s3://bucket/~/x", "s3://bucket/~/x"),
        ("", ""),
    ],
)
def test_one_path(given: str, expected: str) -> None:
    assert expand_home(given) == expected
    assert expand_path(Path(given)) == Path(expected)


def test_the_home_of_an_account() -> None:
    account = pwd.getpwuid(os.getuid())
    assert expand_home(f"~{account.pw_name}/x") == f"{account.pw_dir}/x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~/a,~/b", "/h/a,/h/b"),
        ("lab/m, ~/b@v1+~/c=0.5", "lab/m,/h/b@v1+/h/c=0.5"),
        (["~/a", "~/b+~/c", 3, None], ["/h/a", "/h/b+/h/c", 3, None]),
        ("a~/b,c+d", "a~/b,c+d"),
        ({"~": 1}, {"~": 1}),
        (None, None),
    ],
)
def test_lists(given: Any, expected: Any) -> None:
    assert expand_listed(given) == expected
    assert expand_listed(expected) == expected


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> Any:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ConfigError, match="~/x: the home folder is unknown"):
        expand_home("~/x")


def test_every_text_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "prompts: {source: file, path: ~/p.txt, vocabulary: ~/v.yaml, vlm_cache: ~/c}\n"
        "generate: {models: [~/m, lab/n+~/l=0.5], negative_prompt: ~/n}\n"
        "annotate: {import_path: ~/g.json, alternatives: ~/a.yaml, detector_query: '~/{label}'}\n"
        "score: {clip_model: ~/clip, hpsv2_checkpoint: ~/h.pt, imagereward_folder: ~/r}\n"
        "train: {model: ~/m@v1, picture_prompts: ~/p.txt}\n"
    )
    config = load_config(path, {"generate": {"lora": "~/a,~/b=0.5"}})
    assert (config.prompts.path, config.prompts.vlm_cache) == ("/h/p.txt", "/h/c")
    assert config.prompts.vocabulary == "/h/v.yaml"
    assert config.generate.models == ("/h/m", "lab/n+/h/l=0.5")
    assert config.generate.loras == ("/h/a", "/h/b=0.5")
    assert (config.annotate.import_path, config.annotate.alternatives) == ("/h/g.json", "/h/a.yaml")
    score = config.score
    assert (score.clip_model, score.hpsv2_checkpoint, score.imagereward_folder) == (
        "/h/clip",
        "/h/h.pt",
        "/h/r",
    )
    assert (config.train.model, config.train.revision) == ("/h/m", "v1")
    assert config.train.picture_prompts == "/h/p.txt"
    # free text stays
    assert config.generate.negative_prompt == "~/n"
    assert config.annotate.detector_query == "~/{label}"


def test_sections_made_in_python() -> None:
    assert TrainConfig(model="~/m").model == "/h/m"
    assert GenerateConfig(lora="~/l").lora == "/h/l"
    assert AnnotateConfig(annotators=("~x",)).annotators == ("~x",)
    assert Config().generate.model == "embedded"

"""The rules of the house hold here, and each of them finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import layout

ROOT = Path(__file__).parents[1]
Rule = Callable[[Path], list[str]]

IMPORTS = {
    "curate/bad.py": ("from invdpo.train import loop", "curate may not import invdpo.train"),
    "train/bad.py": ("def f() -> None:\n    import invdpo.curate.score", "may not import"),
    "train/also_bad.py": ("from invdpo import curate", "train may not import invdpo.curate"),
    "schemas/bad.py": ("import invdpo.data_cards", "schemas may not import invdpo.data_cards"),
    "data_cards/bad.py": ("from invdpo.curate import x", "data_cards may not import"),
    "curate/face.py": ("from invdpo.cli import main", "curate may not import invdpo.cli"),
    "tests/bad.py": ("import curate.score", "lacks the invdpo. prefix"),
    "invdpo/bad.py": ("from schemas import SceneGraph", "lacks the invdpo. prefix"),
    "tools/bad.py": ("from . import other", "a relative import"),
    "curate/engines/bad.py": ("from ..score import x", "a relative import"),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small checkout that keeps every rule."""
    write(tmp_path, "pyproject.toml", f"[tool.setuptools]\npackages = {packages()}\n")
    for room in layout.ROOMS:
        write(tmp_path, f"{room}/__init__.py", "")
    write(tmp_path, "invdpo/__init__.py", "")
    write(tmp_path, "invdpo/cli/app.py", "")
    for room in layout.ROOMS:
        (tmp_path / "invdpo" / room).symlink_to(Path("..") / room)
    return tmp_path


def packages() -> list[str]:
    return ["invdpo", *(f"invdpo.{room}" for room in layout.ROOMS)]


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", layout.RULES, ids=lambda rule: rule.__name__)
def test_this_checkout_keeps_the_rule(rule: Rule) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", layout.RULES, ids=lambda rule: rule.__name__)
def test_a_small_good_house_passes(rule: Rule, house: Path) -> None:
    write(house, "curate/good.py", "from invdpo.schemas import errors\nimport numpy\n")
    assert rule(house) == []


def test_unlisted_folder(house: Path) -> None:
    (house / "misc").mkdir()
    assert layout.unlisted_folders(house) == ["misc/: an unlisted folder at the top level"]


def test_link_replaced_by_a_folder(house: Path) -> None:
    (house / "invdpo" / "train").unlink()
    (house / "invdpo" / "train").mkdir()
    assert layout.missing_links(house) == ["invdpo/train: not a link to ../train"]


def test_package_missing_in_pyproject(house: Path) -> None:
    write(house, "curate/new/__init__.py", "")
    assert layout.unlisted_packages(house) == [
        "pyproject.toml: packages and folders disagree about invdpo.curate.new"
    ]


def test_package_listed_in_vain(house: Path) -> None:
    (house / "train/__init__.py").unlink()
    assert "invdpo.train" in layout.unlisted_packages(house)[0]


def test_folder_of_code_without_init(house: Path) -> None:
    write(house, "curate/new/stage.py", "")
    assert layout.folders_without_init(house) == ["curate/new/: no __init__.py"]


def test_data_that_a_wheel_would_lack(house: Path) -> None:
    write(house, "curate/words.yaml", "a: 1\n")
    assert layout.unlisted_data(house) == [
        "curate/words.yaml: not in the package data of pyproject.toml"
    ]


@pytest.mark.parametrize("name", IMPORTS)
def test_wrong_import(house: Path, name: str) -> None:
    code, expected = IMPORTS[name]
    write(house, name, code + "\n")
    problems = layout.wrong_imports(house)
    assert len(problems) == 1
    assert problems[0].startswith(name)
    assert expected in problems[0]


def test_a_crowded_folder(house: Path) -> None:
    write(house, "curate/pairing/__init__.py", "")
    for number in range(layout.MOST_MODULES + 1):
        write(house, f"curate/pairing/m{number}.py", "")
        write(house, f"invdpo/hub/m{number}.py", "")
    expected = [f"{folder}/: 19 modules, at most 18" for folder in ("curate/pairing", "invdpo/hub")]
    assert layout.crowded_folders(house) == expected


def test_a_crowded_top(house: Path) -> None:
    for number in range(14):
        write(house, f"curate/m{number}.py", "")
    assert layout.crowded_folders(house) == ["curate/: 14 modules, at most 13"]


def test_a_name_twice_in_a_room(house: Path) -> None:
    for name in ("report/pairs", "pairing/pairs", "scorers/pairs", "report/base", "pairing/base"):
        write(house, f"curate/{name}.py", "")
    write(house, "train/pairs.py", "")
    expected = ["curate/report/pairs.py: curate/pairing/pairs.py has this name"]
    assert layout.repeated_names(house) == expected


def test_an_import_that_runs_up(house: Path) -> None:
    write(house, "curate/storage/bad.py", "from invdpo.curate.dataset import write\n")
    write(house, "curate/dataset/good.py", "from invdpo.curate.storage import parts\n")
    assert layout.upward_imports(house) == [
        "curate/storage/bad.py:1: storage may not import dataset"
    ]


def test_a_folder_that_no_list_names(house: Path) -> None:
    write(house, "train/attic/old.py", "")
    assert layout.upward_imports(house) == ["train/attic/old.py: LAYERS has no attic"]


@pytest.mark.parametrize("code", ["class Crowd:\n    pass\n", "def _told() -> None:\n    pass\n"])
def test_a_name_that_tells_nothing(house: Path, code: str) -> None:
    write(house, "curate/good.py", code)
    (problem,) = layout.private_words(house)
    assert problem.endswith("tells nothing")


def test_a_module_that_tells_nothing(house: Path) -> None:
    write(house, "train/sieve.py", "")
    assert layout.private_words(house) == ["train/sieve.py: a name that tells nothing"]


def test_a_file_that_the_architecture_names(house: Path) -> None:
    write(house, "docs/architecture.md", "1. `train/loop.py`: the loop\n2. `train/__init__.py`\n")
    assert layout.missing_files(house) == ["docs/architecture.md: no train/loop.py"]


def test_the_architecture_names_files() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert page.count(".py`") > 40


def test_a_mark_that_keeps_the_formatter_off(house: Path) -> None:
    write(house, "train/good.py", "x = 1  # " + "fmt: skip\n")
    assert layout.skipped_formatting(house) == [
        "train/good.py: a mark that keeps the formatter off"
    ]


def test_long_file(house: Path) -> None:
    write(house, "curate/long.py", "x = 1\n" * (layout.LONGEST_FILE + 1))
    assert layout.long_code(house) == ["curate/long.py: 301 lines, at most 300"]


def test_long_function(house: Path) -> None:
    write(house, "curate/long.py", "def f() -> None:\n" + "    x = 1\n" * 60)
    assert layout.long_code(house) == ["curate/long.py: f has 61 lines"]


@pytest.mark.parametrize("text", ["see /" + "home/ann/data", "{root}/x", "a=/" + "root/m"])
def test_path_of_a_machine(house: Path, text: str) -> None:
    write(house, "docs/note.md", f"fine\n{text.format(root=house)}\n")
    assert layout.machine_paths(house) == ["docs/note.md:2: a path of this machine"]


def test_a_worktree_is_a_checkout_too(house: Path) -> None:
    write(house, ".git", f"gitdir: {house}/elsewhere\n")
    assert layout.machine_paths(house) == []

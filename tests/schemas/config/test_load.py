"""Reading the configuration: layers, and every error at once, each with where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config, resolve_config


def config_error(path: Path | None, given: dict[str, dict[str, Any]] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(path, given)
    return str(error.value)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    assert load_config(None) == Config()


@pytest.mark.parametrize("text", ["", "# nothing\n", "prompts:\n", "prompts: {}\n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path / "c.yaml", text)) == Config()


def test_layers_change_single_keys(tmp_path: Path) -> None:
    first = write(tmp_path / "a.yaml", "prompts: {seed: 1, num_prompts: 5}\npair: {seed: 9}\n")
    second = write(tmp_path / "b.yaml", "prompts: {seed: 2}\n")
    config = resolve_config([first, second], {"pair": {"min_margin": "0.5"}})
    assert (config.prompts.seed, config.prompts.num_prompts) == (2, 5)
    assert (config.pair.seed, config.pair.min_margin) == (9, 0.5)


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    text = """
    prompts: {num_prompts: 0, colour: red}
    generate: 5
    generat: {}
    annotate: {annotators: shapes}
    score: {scorers: []}
    pair: {weights: {clip: .nan}, min_margin: -1}
    train: {objective: ppo}
    """
    path = write(tmp_path / "c.yaml", text)
    first, *lines = config_error(path).splitlines()
    assert first == f"{path}: 9 errors in the configuration."
    assert [line.split(":")[0].strip() for line in lines] == [
        "prompts.num_prompts",
        "prompts.colour",
        "generate",
        "annotate.annotators",
        "score.scorers",
        "pair.weights.clip",
        "pair.min_margin",
        "train.objective",
        "generat",
    ]
    text = "\n".join(lines)
    assert "found 0; input should be greater than or equal to 1" in text
    assert "allowed: source, path, column" in text
    assert "found 'ppo'; input should be 'inversion-dpo', 'diffusion-dpo' or 'sft'" in text
    assert "found []; expected at least 1 entry" in text
    assert "found 'shapes'; expected a list" in text
    assert "found 5; expected a mapping" in text


def test_a_lora_is_not_extrapolated(tmp_path: Path) -> None:
    text = config_error(write(tmp_path / "c.yaml", "train: {extrapolation: 0.5}\n"))
    assert "extrapolation: found 0.5; only tuning `full` can be extrapolated" in text
    assert "--model MODEL+LORA=1.5; expected 0" in text
    path = write(tmp_path / "d.yaml", "train: {tuning: full, extrapolation: 0.5}\n")
    assert load_config(path).train.extrapolation == 0.5


def test_each_error_says_where_it_came_from(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "prompts: {seed: -1}\n")
    text = config_error(path, {"generate": {"seed": "x"}})
    assert f"found -1; input should be greater than or equal to 0 (from {path})" in text
    assert "found 'x'" in text
    assert text.endswith("(from options)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n", "found list, expected a mapping"),
        ("prompts: {seed: 1\n", "not YAML: expected ',' or '}'"),
        ("prompts:\n  seed: 1\n  seed: 2\n", "the key 'seed' is given twice (line 3, column 3)"),
        ("prompts: {seed: yes}\n", "not true or false"),
        ("pair: {weights: {clip: on}}\n", "not true or false"),
        ("pair: {weights: {}}\n", "at least 1 entry"),
        ("pair: {weights: {clip: .inf}}\n", "finite"),
        ("train: {weight_decay: .nan}\n", "finite"),
        ("3: 4\n", "keys should be strings"),
        ("? [1]\n: 2\n", "not YAML"),
        ("prompts: !!python/object:os.system {}\n", "not YAML"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path / "c.yaml", text)
    assert expected in config_error(path)
    assert config_error(path).startswith(f"{path}: ")


def test_missing_file_and_bytes(tmp_path: Path) -> None:
    assert "No such file" in config_error(tmp_path / "none.yaml")
    (tmp_path / "c.yaml").write_bytes(b"prompts: {path: \xff}\n")
    assert "not UTF-8 text at byte 16" in config_error(tmp_path / "c.yaml")


@pytest.mark.parametrize("rate", ["1e-5", "1.0e-05", "0.00001", "'1e-5'"])
def test_rates_as_people_write_them(tmp_path: Path, rate: str) -> None:
    config = load_config(write(tmp_path / "c.yaml", f"train: {{learning_rate: {rate}}}\n"))
    assert config.train.learning_rate == 1e-5


def test_merge_keys_of_yaml(tmp_path: Path) -> None:
    text = "prompts: &a {seed: 3}\neval: {<<: *a, num_prompts: 4}\n"
    config = load_config(write(tmp_path / "c.yaml", text))
    assert (config.eval.seed, config.eval.num_prompts) == (3, 4)


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {
            "prompts": st.fixed_dictionaries(
                {"seed": st.integers(0, 2**63 - 1), "path": st.none() | st.text()}
            ),
            "generate": st.fixed_dictionaries({"model": st.text(), "revision": st.text()}),
            "pair": st.fixed_dictionaries(
                {"min_margin": st.floats(0, 1e9), "target_pairs": st.none() | st.integers(1, 99)}
            ),
            "train": st.fixed_dictionaries({"beta": st.floats(0, 1e300)}),
        }
    )
)
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, dict[str, Any]]
) -> None:
    config = Config.model_validate(values)
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    assert load_config(write(path, dump_config(config))) == config

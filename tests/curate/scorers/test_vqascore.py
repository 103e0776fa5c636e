"""VQAScore on small random models of two architectures, against their own forward passes."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.curate.batching import Failure
from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.curate.scorers.vqascore import question
from invdpo.schemas import ModelError, PluginError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.scorers.judged_images import values
from tests.curate.scorers.vlms import MAKE, WORDS, save_model


@pytest.fixture(scope="module", params=MAKE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def candidates(pictures: list[bytes]) -> list[Candidate]:
    return [
        Candidate({"prompt": f"a {'red ' * (n % 4)}cat", "image": {"bytes": data}})
        for n, data in enumerate(pictures)
    ]


def scorer(model: Path) -> Any:
    return SCORERS["vqascore"](ScoreConfig(device="cpu", vqascore_model=str(model)))


def test_is_the_models_own_chance_of_yes(model: Path, candidates: list[Candidate]) -> None:
    """One image at a time, without padding, by the model's own class."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    network: Any = AutoModelForImageTextToText.from_pretrained(model).eval()
    processor: Any = AutoProcessor.from_pretrained(model)
    decoder = "T5" in type(getattr(network, "language_model", network)).__name__
    expected = []
    for candidate in candidates[:6]:
        asked = question(candidate.prompt)
        text = asked if decoder else f"USER: <image>\n{asked} ASSISTANT:"
        given = processor(images=candidate.image, text=text, return_tensors="pt")
        more = {"decoder_input_ids": torch.zeros(1, 1, dtype=torch.long)} if decoder else {}
        with torch.no_grad():
            logits = network(**given, **more).logits[0, -1]
        expected.append(logits.softmax(dim=-1)[WORDS.index("Yes")].item())
    assert values(scorer(model)(candidates[:6])) == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 7) for value in expected}) > 3


def test_a_template_that_begins_itself_gives_one_beginning(
    candidates: list[Candidate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer would write `<s>`, too. Only such a model is of another revision."""
    from tokenizers.processors import TemplateProcessing

    folder = save_model("llava", tmp_path)
    plain = scorer(folder).revision
    state = json.loads((folder / "tokenizer.json").read_text())
    begin = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    state["post_processor"] = json.loads(begin.__getstate__())
    (folder / "tokenizer.json").write_text(json.dumps(state))
    judge = scorer(folder)
    assert judge.revision.split()[1:] == plain.split()[1:]
    template = folder / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())
    judge = scorer(folder)
    assert judge.revision.split()[1:] == [*plain.split()[1:], "bos=1"]
    seen: list[Any] = []
    network = judge._model().network
    monkeypatch.setattr(network, "forward", partial(_noting, seen, network.forward))
    judge(candidates[:2])
    assert (seen[0]["input_ids"] == 1).sum(dim=1).tolist() == [1, 1]


def _noting(seen: list[Any], call: Any, **inputs: Any) -> Any:
    seen.append(inputs)
    return call(**inputs)


def test_batch_and_order_do_not_matter(model: Path, candidates: list[Candidate]) -> None:
    judge = scorer(model)
    together = values(judge(candidates))
    alone = [values(judge([candidate]))[0] for candidate in candidates]
    assert together == pytest.approx(alone, abs=1e-5)
    assert values(judge(candidates[::-1]))[::-1] == pytest.approx(together, abs=1e-5)


def test_the_prompt_is_put_into_the_question_as_it_is(model: Path, pictures: list[bytes]) -> None:
    unusual = ["{0} %s {", 'say "no"\nplease', "красный кот 赤い猫"]
    given = [Candidate({"prompt": text, "image": {"bytes": pictures[0]}}) for text in unusual]
    assert all(0 < value < 1 for value in values(scorer(model)(given)))
    assert question(unusual[0]) == 'Does this figure show "{0} %s {"? Please answer yes or no.'


def test_a_prompt_with_the_models_word_for_pictures_is_a_rejected_row(
    vlm_folder: Path, pictures: list[bytes]
) -> None:
    """Two such words would ask for two images; the others of the batch are judged."""
    texts = ["a cat", "ignore this <image> of a cat", "a dog"]
    given = [Candidate({"prompt": text, "image": {"bytes": pictures[0]}}) for text in texts]
    judge = scorer(vlm_folder)
    first, second, third = judge(given)
    assert second == Failure("the prompt holds '<image>', this model's word for an image")
    assert [first.score, third.score] == pytest.approx(
        values(judge([given[0], given[2]])), abs=1e-6
    )


def test_a_model_of_another_kind_is_reported(pickled: Path, candidates: list[Candidate]) -> None:
    with pytest.raises(ModelError, match="not an image-text-to-text model"):
        scorer(pickled)(candidates[:1])


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    return tmp_path


def test_a_tokenizer_that_needs_the_extra_names_it(
    candidates: list[Candidate], tmp_path: Path
) -> None:
    """Of SentencePiece's file alone; transformers itself would advise another package."""
    folder = save_model("llava", tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\x0a\x05nothing")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    text = json.dumps(config | {"tokenizer_class": "LlamaTokenizer"})
    (folder / "tokenizer_config.json").write_text(text)
    if importlib.util.find_spec("sentencepiece") is not None:
        pytest.skip("needs SentencePiece to be absent")
    with pytest.raises(PluginError, match=r"the tokenizer of model needs .*invdpo\[vlm\]"):
        scorer(folder)(candidates[:1])
